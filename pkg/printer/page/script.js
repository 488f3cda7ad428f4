"use strict";
// Filters what is there already; without it everything is shown.
(() => {
  const filter = document.getElementById("filter");
  if (filter) {
    const list = document.getElementById("list");
    const practices = [...list.querySelectorAll("article")].map((article) => ({
      article,
      chapter: article.dataset.chapter,
      title: article.querySelector("h3").textContent + " " + article.querySelector("code").textContent,
      findings: [...article.querySelectorAll("li")].map((item) => ({ item, text: item.textContent.toLowerCase() })),
    }));
    const apply = () => {
      const { severity, chapter, namespace, text } = Object.fromEntries(new FormData(filter));
      const wanted = text.toLowerCase().trim();
      let shown = 0;
      for (const practice of practices) {
        const named = practice.title.toLowerCase().includes(wanted);
        let some = false;
        for (const { item, text } of practice.findings) {
          const show = (!severity || item.dataset.severity === severity)
            && (!chapter || practice.chapter === chapter)
            && (!namespace || item.dataset.namespace === namespace)
            && (named || text.includes(wanted));
          item.hidden = !show;
          some ||= show;
          shown += show;
        }
        practice.article.hidden = !some;
      }
      document.getElementById("shown").textContent = shown;
      document.getElementById("none").hidden = shown > 0;
    };
    filter.hidden = false;
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("reset", () => setTimeout(apply));
    apply(); // a browser may have kept the choices of before
  }
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
  });
})();
