package printer

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// How much the overview shows; -o wide shows everything.
const (
	worstPractices = 12
	worstObjects   = 5
	causes         = 6
)

// overview is the screen of one look: what was diagnosed, the verdict, what is
// worst, the score by chapter, and what to type next.
func (o Options) overview(w io.Writer, d *report.Diagnosis) error {
	sections := []func(io.Writer, *report.Diagnosis) error{
		o.heading, o.practices, o.changes, o.events, o.chapters, o.objects, o.ignored, o.notChecked, o.aside, o.next,
	}
	return inSections(w, d, sections)
}

// everyFinding lists what the overview sums up.
func (o Options) everyFinding(w io.Writer, d *report.Diagnosis) error {
	sections := []func(io.Writer, *report.Diagnosis) error{o.heading, o.findings, o.platformFindings, o.changes, o.events, o.chapters, o.ignored, o.notChecked, o.aside}
	if o.NoHeaders {
		sections = []func(io.Writer, *report.Diagnosis) error{o.findings, o.platformFindings}
	}
	return inSections(w, d, sections)
}

// inSections prints sections with an empty line between those that say
// something.
func inSections[T any](w io.Writer, d *T, sections []func(io.Writer, *T) error) error {
	written := false
	for _, section := range sections {
		var b strings.Builder
		if err := section(&b, d); err != nil {
			return err
		}
		if b.Len() == 0 {
			continue
		}
		if written {
			fmt.Fprintln(w)
		}
		written = true
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) heading(w io.Writer, d *report.Diagnosis) error {
	fmt.Fprintln(w, subject(d.Origin))
	verdict := "score " + o.score(d.Score) + "/100"
	if d.Score.Percent == nil {
		verdict = "no score: there was nothing to judge"
	}
	fmt.Fprintf(w, "%s   %s", o.paint(bold, verdict), o.counts(d.Score))
	if unchecked := unchecked(d); unchecked > 0 {
		fmt.Fprintf(w, "   %d of %d practices not checked", unchecked, len(d.Practices))
	}
	_, err := fmt.Fprintln(w)
	return err
}

// subject says what was diagnosed, on one line.
func subject(origin report.Origin) string {
	workloads := count(origin.Workloads, "workload")
	if len(origin.Manifests) > 0 {
		return escape("manifests "+strings.Join(origin.Manifests, " ")) + gap + count(origin.Objects, "object") + ", " + workloads
	}
	scope := "all namespaces"
	if origin.Namespace != "" {
		scope = "namespace " + origin.Namespace
	}
	if origin.Selector != "" {
		scope += ", " + origin.Selector
	}
	return escape(fmt.Sprintf("context %s", cmp.Or(origin.Context, "(in cluster)"))) + gap +
		escape(strings.TrimSpace(origin.Server+" "+origin.Version)) + gap +
		escape(fmt.Sprintf("%s: %s, %s", scope, workloads, count(origin.Nodes, "node")))
}

// counts words how many findings there are of each severity.
func (o Options) counts(s report.Score) string {
	if s.Critical+s.Warning+s.Info == 0 {
		return "nothing found in what was checked"
	}
	var parts []string
	for _, of := range []struct {
		severity report.Severity
		number   int
	}{{report.Critical, s.Critical}, {report.Warning, s.Warning}, {report.Info, s.Info}} {
		if of.number > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of.number, o.severity(of.severity)))
		}
	}
	return strings.Join(parts, ", ")
}

func unchecked(d *report.Diagnosis) int {
	n := 0
	for _, p := range d.Practices {
		if !p.Checked {
			n++
		}
	}
	return n
}

// group is the findings that a row sums up.
type group struct {
	worst   report.Finding
	objects int
	counts  map[report.Severity]int
}

// groups sums findings up by a key, worst group first, platform aside.
func groups[K comparable](findings []report.Finding, key func(report.Finding) K) []group {
	at := map[K]int{}
	seen := map[any]bool{}
	var all []group
	for _, f := range findings {
		if f.Platform {
			continue
		}
		k := key(f)
		if _, ok := at[k]; !ok {
			at[k] = len(all)
			all = append(all, group{worst: f, counts: map[report.Severity]int{}})
		}
		g := &all[at[k]]
		g.counts[f.Severity]++
		if of := [2]any{k, f.Object}; !seen[of] {
			seen[of] = true
			g.objects++
		}
	}
	slices.SortStableFunc(all, func(a, b group) int {
		return cmp.Or(
			cmp.Compare(min(b.counts[report.Critical], 1), min(a.counts[report.Critical], 1)),
			cmp.Compare(failing(b), failing(a)),
			cmp.Compare(b.counts[report.Critical], a.counts[report.Critical]),
			cmp.Compare(b.counts[report.Warning], a.counts[report.Warning]),
			cmp.Compare(b.counts[report.Info], a.counts[report.Info]),
		)
	})
	return all
}

// failing is 1 for what fails now, which comes first among its severity.
func failing(g group) int {
	if g.worst.Now {
		return 1
	}
	return 0
}

// practices lists the worst practices, each with its worst example.
func (o Options) practices(w io.Writer, d *report.Diagnosis) error {
	all := groups(d.Findings, func(f report.Finding) string { return f.Practice })
	var rows [][]string
	for _, g := range all[:min(len(all), worstPractices)] {
		rows = append(rows, []string{
			o.severity(g.worst.Severity), g.worst.Practice, fmt.Sprint(g.objects),
			objectName(g.worst.Object) + ": " + escape(g.worst.Message),
		})
	}
	if err := o.table(w, []string{"SEVERITY", "PRACTICE", "OBJECTS", "WORST"}, rows); err != nil {
		return err
	}
	if more := len(all) - worstPractices; more > 0 {
		fmt.Fprintf(w, "… and %d more (-o wide lists every finding)\n", more)
	}
	return nil
}

func (o Options) chapters(w io.Writer, d *report.Diagnosis) error {
	var rows [][]string
	for _, c := range d.Chapters {
		if c.Percent != nil || c.Critical+c.Warning+c.Info > 0 {
			rows = append(rows, []string{c.Title, o.score(c.Score), fmt.Sprint(c.Critical), fmt.Sprint(c.Warning), fmt.Sprint(c.Info)})
		}
	}
	return o.table(w, []string{"CHAPTER", "SCORE", "CRITICAL", "WARNING", "INFO"}, rows)
}

func (o Options) objects(w io.Writer, d *report.Diagnosis) error {
	all := groups(d.Findings, func(f report.Finding) report.Object { return f.Object })
	var rows [][]string
	for _, g := range all[:min(len(all), worstObjects)] {
		rows = append(rows, []string{
			objectName(g.worst.Object), fmt.Sprint(g.counts[report.Critical]), fmt.Sprint(g.counts[report.Warning]), fmt.Sprint(g.counts[report.Info]),
		})
	}
	return o.table(w, []string{"WORST OBJECTS", "CRITICAL", "WARNING", "INFO"}, rows)
}

// findings lists the user's findings; the platform's stand by themselves.
func (o Options) findings(w io.Writer, d *report.Diagnosis) error { return o.list(w, d, false) }

func (o Options) platformFindings(w io.Writer, d *report.Diagnosis) error {
	var b strings.Builder
	if err := o.list(&b, d, true); err != nil || b.Len() == 0 {
		return err
	}
	fmt.Fprint(w, "The platform's own objects, not counted in the score:\n", b.String())
	return nil
}

func (o Options) list(w io.Writer, d *report.Diagnosis, platform bool) error {
	header := []string{"SEVERITY", "PRACTICE", "NAMESPACE", "OBJECT", "WHERE", "MESSAGE"}
	var rows [][]string
	for _, f := range d.Findings {
		if f.Platform == platform {
			rows = append(rows, []string{
				o.severity(f.Severity), f.Practice, escape(cmp.Or(f.Object.Namespace, "-")), escape(f.Object.String()),
				escape(cmp.Or(location(f), "-")), escape(f.Message),
			})
		}
	}
	if o.NoHeaders {
		header = nil
	}
	return o.table(w, header, rows)
}

// location is the place to edit: a line of a manifest, else a field.
func location(f report.Finding) string {
	if f.File != "" {
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return f.Path
}

func (o Options) notChecked(w io.Writer, d *report.Diagnosis) error {
	shown := d.NotChecked[:o.atMost(causes, len(d.NotChecked))]
	var rows [][]string
	for _, n := range shown {
		practices := slices.Clone(n.Practices)
		for _, p := range n.Partly {
			practices = append(practices, p+" (in part)")
		}
		named := strings.Join(practices, ", ")
		if len(practices) > 2 {
			named = fmt.Sprintf("%s, … %d more", practices[0], len(practices)-1)
		}
		rows = append(rows, []string{escape(n.Subject), n.State, cmp.Or(named, "-"), escape(n.Reason)})
	}
	if err := o.table(w, []string{"NOT CHECKED", "WHY", "PRACTICES", "REASON"}, rows); err != nil {
		return err
	}
	if more := len(d.NotChecked) - len(shown); more > 0 {
		fmt.Fprintf(w, "… and %s more (-o wide lists them)\n", count(more, "cause"))
	}
	return nil
}

// aside tells in a line each what the tables above leave out, and why.
func (o Options) aside(w io.Writer, d *report.Diagnosis) error {
	if len(d.Known)+len(d.Mended) > 0 {
		fmt.Fprintf(w, "Since the baseline: %s new, %s known and not shown, %s mended\n",
			count(len(d.Findings), "finding"), count(len(d.Known), "finding"), count(len(d.Mended), "finding"))
	}
	if len(d.Ignored) > 0 && !o.ShowIgnored {
		fmt.Fprintf(w, "%s ignored (--show-ignored lists them)\n", count(len(d.Ignored), "finding"))
	}
	for _, warning := range d.Warnings {
		fmt.Fprintf(w, "%s %s\n", o.paint(yellow, "warning:"), escape(warning))
	}
	return nil
}

// Of what happened lately the screen shows this much; -o wide and json have all.
const latest = 8

// changes lists who wrote what in the last hour.
func (o Options) changes(w io.Writer, d *report.Diagnosis) error {
	var rows [][]string
	for _, c := range d.Changes[:o.atMost(latest, len(d.Changes))] {
		rows = append(rows, []string{ago(d, c.Time), objectName(c.Object), escape(c.What), escape(cmp.Or(c.By, "-"))})
	}
	return o.table(w, []string{"CHANGED", "OBJECT", "WHAT", "BY"}, rows)
}

// events lists the last hour's warnings.
func (o Options) events(w io.Writer, d *report.Diagnosis) error {
	var rows [][]string
	for _, e := range d.Events[:o.atMost(latest, len(d.Events))] {
		rows = append(rows, []string{ago(d, e.Last), fmt.Sprint(e.Count), escape(e.Reason), objectName(e.Object), escape(e.Message)})
	}
	return o.table(w, []string{"WARNED", "TIMES", "REASON", "OBJECT", "MESSAGE"}, rows)
}

func (o Options) atMost(limit, all int) int {
	if o.Format == "wide" {
		return all
	}
	return min(limit, all)
}

// ago is how long before the diagnosis something happened.
func ago(d *report.Diagnosis, t metav1.Time) string {
	return duration.HumanDuration(d.Time.Sub(t.Time)) + " ago"
}

// ignored lists what somebody set aside, with the reason.
func (o Options) ignored(w io.Writer, d *report.Diagnosis) error {
	if !o.ShowIgnored {
		return nil
	}
	var rows [][]string
	for _, f := range d.Ignored {
		rows = append(rows, []string{
			f.Practice, objectName(f.Object), cmp.Or(f.Until, "-"), escape(f.By), escape(f.Reason),
		})
	}
	return o.table(w, []string{"IGNORED", "OBJECT", "UNTIL", "BY", "REASON"}, rows)
}

// next names the commands that lead on from here.
func (o Options) next(w io.Writer, d *report.Diagnosis) error {
	var platform int
	for _, f := range d.Findings {
		if f.Platform {
			platform++
		}
	}
	if platform > 0 {
		fmt.Fprintf(w, "%s on the platform's own objects not counted (-o wide lists them)\n", count(platform, "finding"))
	}
	all := groups(d.Findings, func(f report.Finding) string { return f.Practice })
	if len(all) == 0 {
		return nil
	}
	worst := all[0].worst
	rows := [][]string{{"  kubectl prod doctor explain " + worst.Practice, "why it matters, how it is judged, how to mend it"}}
	if worst.Fix != "" && strings.HasPrefix(worst.Fix, "kubectl ") {
		rows = append(rows, []string{"  " + escape(worst.Fix), "what " + objectName(worst.Object) + " needs first"})
	} else if worst.Harden != "" {
		rows = append(rows, []string{"  " + escape(worst.Harden), "what would mend it, with its diff"})
	}
	rows = append(rows, []string{"  kubectl prod doctor -o wide" + flags(d.Origin), "every finding, with its field or line"})
	fmt.Fprintln(w, "Next:")
	unbounded := o
	unbounded.Width = 0
	return unbounded.table(w, nil, rows)
}

// flags repeat the scope of this run for the next.
func flags(origin report.Origin) string {
	var b strings.Builder
	for _, file := range origin.Manifests {
		b.WriteString(" -f " + escape(file))
	}
	if origin.Namespace != "" && len(origin.Manifests) == 0 {
		b.WriteString(" -n " + escape(origin.Namespace))
	}
	if origin.Selector != "" {
		b.WriteString(" -l " + escape(origin.Selector))
	}
	return b.String()
}

// objectName is an object on one line: namespace and kubectl's name for it.
func objectName(object report.Object) string {
	if object.APIVersion == "" {
		return "the cluster"
	}
	name := strings.ToLower(object.Kind) + "/" + object.Name
	if object.Namespace != "" {
		name = object.Namespace + " " + name
	}
	return escape(name)
}

// count words a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
