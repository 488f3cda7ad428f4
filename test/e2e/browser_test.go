//go:build e2e

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// browse opens the shop's HTML report in a real browser, at the widths of a phone
// and of a desk, dark and light. What it looks like is kept as pictures in the
// directory that E2E_SCREENSHOTS names, where it is set.
func browse(t *testing.T, c *testCluster) {
	page := filepath.Join(t.TempDir(), "report.html")
	c.kubectl(t, nil, "prod", "doctor", "-o", "html", "--output-file", page)
	b := startBrowser(t)
	for _, view := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}, {"desk-light", 1280, 900, "light"}, {"desk-dark", 1280, 900, "dark"}} {
		t.Run(view.name, func(t *testing.T) {
			b.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600})
			b.call(t, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": view.scheme}}})
			b.open(t, "file://"+page)
			if wide := b.number(t, "document.documentElement.scrollWidth"); wide > float64(view.width) {
				t.Errorf("the page is %v wide, and the screen %d", wide, view.width)
			}
			dark := b.number(t, `getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)`) < 3*128
			if dark != (view.scheme == "dark") {
				t.Errorf("the background is dark: %v", dark)
			}
			b.picture(t, view.name)
		})
	}
	t.Run("filters", func(t *testing.T) {
		const shown = `[...document.querySelectorAll("#list li")].filter((item) => item.checkVisibility({visibilityProperty: true}) || item.closest("details:not([open])") && !item.hidden && !item.closest("article").hidden).length`
		const choose = `((name, value) => { const form = document.getElementById("filter"); form.elements[name].value = value; form.elements[name].dispatchEvent(new Event("input", {bubbles: true})); })`
		all := b.number(t, shown)
		b.number(t, choose+`("severity", "critical"), 0`)
		critical := b.number(t, shown)
		b.number(t, choose+`("text", "no such thing anywhere"), 0`)
		none := b.number(t, shown)
		b.number(t, choose+`("text", ""), `+choose+`("severity", ""), 0`)
		if again := b.number(t, shown); all < 50 || critical == 0 || critical >= all || none != 0 || again != all {
			t.Errorf("shows %v of all, %v critical, %v of nothing, and %v of all again", all, critical, none, again)
		}
		if said := b.number(t, `Number(document.getElementById("shown").textContent)`); said != all {
			t.Errorf("it says that %v are shown, and %v are", said, all)
		}
	})
	t.Run("its policy lets nothing else run", func(t *testing.T) {
		ran := b.number(t, `(() => { const script = document.createElement("script"); script.textContent = "window.ran = 1"; document.body.append(script); return window.ran || 0 })()`)
		if ran != 0 {
			t.Error("a script that was put into the page ran")
		}
	})
	t.Run("it asks for nothing", func(t *testing.T) {
		if n := b.number(t, `performance.getEntriesByType("resource").length`); n != 0 {
			t.Errorf("the page loaded %v other things", n)
		}
	})
}

// browser is a Chromium, spoken to over its debugging pipe.
type browser struct {
	commands *os.File
	events   *bufio.Reader
	session  string
	last     int
}

// startBrowser starts Chromium, which Debian has; it is installed where it is
// missing and this is root.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Geteuid() == 0 {
		mustRun(t, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "--no-install-recommends", "chromium")
		path, err = exec.LookPath("chromium")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no chromium, and CI must have it")
		}
		t.Skip("no chromium here: apt-get install chromium")
	}
	fromUs, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	events, fromIt, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	command.ExtraFiles = []*os.File{fromUs, fromIt} // 3 and 4
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = fromUs.Close(), fromIt.Close() // its own now
	b := &browser{commands: commands, events: bufio.NewReader(events)}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var target struct{ TargetID string }
	b.into(t, &target, "Target.createTarget", map[string]any{"url": "about:blank"})
	var attached struct{ SessionID string }
	b.into(t, &attached, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true})
	b.session = attached.SessionID
	b.call(t, "Page.enable", nil)
	return b
}

// message is one of the Chrome DevTools protocol, either way.
type message struct {
	ID        int                       `json:"id,omitempty"`
	Method    string                    `json:"method,omitempty"`
	Params    any                       `json:"params,omitempty"`
	SessionID string                    `json:"sessionId,omitempty"`
	Result    json.RawMessage           `json:"result,omitempty"`
	Error     *struct{ Message string } `json:"error,omitempty"`
}

func (b *browser) send(method string, params any) (json.RawMessage, error) {
	b.last++
	data, err := json.Marshal(message{ID: b.last, Method: method, Params: params, SessionID: b.session})
	if err != nil {
		return nil, err
	}
	if _, err := b.commands.Write(append(data, 0)); err != nil {
		return nil, err
	}
	answer, err := b.until(func(m message) bool { return m.ID == b.last })
	if err == nil && answer.Error != nil {
		err = fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	return answer.Result, err
}

// until reads messages up to the wanted one.
func (b *browser) until(wanted func(message) bool) (message, error) {
	for {
		data, err := b.events.ReadBytes(0)
		if err != nil {
			return message{}, err
		}
		var m message
		if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
			return message{}, err
		}
		if wanted(m) {
			return m, nil
		}
	}
}

func (b *browser) call(t *testing.T, method string, params any) json.RawMessage {
	t.Helper()
	result, err := b.send(method, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (b *browser) into(t *testing.T, result any, method string, params any) {
	t.Helper()
	if err := json.Unmarshal(b.call(t, method, params), result); err != nil {
		t.Fatal(err)
	}
}

// open shows a page, and waits until it is there.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	b.call(t, "Page.navigate", map[string]any{"url": url})
	if _, err := b.until(func(m message) bool { return m.Method == "Page.loadEventFired" }); err != nil {
		t.Fatal(err)
	}
}

// number is what an expression yields in the page.
func (b *browser) number(t *testing.T, expression string) float64 {
	t.Helper()
	var answer struct {
		Result           struct{ Value float64 }
		ExceptionDetails *struct{ Text string }
	}
	b.into(t, &answer, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})
	if answer.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, answer.ExceptionDetails.Text)
	}
	return answer.Result.Value
}

// picture keeps what is seen.
func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.into(t, &shot, "Page.captureScreenshot", map[string]any{"format": "png"})
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), string(data))
}
