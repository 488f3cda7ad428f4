package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// The targets that the result is held against.
const (
	targetRatio  = 1.5
	targetMemory = 300 << 20 // bytes, of targetNodes
	targetStart  = 60 * time.Millisecond
	// targetNodes, with 20 pods each, are what some targets are set for.
	targetNodes = 1000
)

// result is one whole measurement.
type result struct {
	name         string // of the fleet
	machine      machine
	frozen       bool
	version      string // the plugin's own word
	cold         sample // doctor's first run, right after the restore
	bare, doctor samples
	starts       []starts
	traffic      traffic
	objects      []int // of each LIST in traffic
	diagnosis    report.Diagnosis
	drain        *drained
	costs        []*cost
	other        *other
	backup       *backedUp // nil where there is no fleet
}

// starts are runs of a command that asks the cluster nothing.
type starts struct {
	name    string
	samples samples
}

func (r *result) ratio() float64 { return float64(r.doctor.wall()) / float64(r.bare.wall()) }

// markdown is the result as it is printed and kept.
func (r *result) markdown() string {
	parts := []string{r.title(), r.sides(), r.targets(), r.lists(), r.others(), r.drain.markdown(r.diagnosis.Origin.Nodes), costTable(r.costs), r.other.markdown()}
	if r.backup != nil {
		parts = append(parts, r.backup.markdown())
	}
	return strings.Join(parts, "\n")
}

func (r *result) title() string {
	origin, without := r.diagnosis.Origin, ""
	if r.frozen {
		without = "As the fleet was kept: etcd and the API server alone, without controllers, scheduler, simulated kubelets and metrics.\n"
	}
	return fmt.Sprintf(`## %s

%s, %s, Kubernetes %s, %s.
%s%d workloads, %d findings; %s.
`, r.name, time.Now().UTC().Format(time.DateOnly), r.machine, origin.Version, r.version,
		without, origin.Workloads, len(r.diagnosis.Findings), r.totals())
}

// totals are all that was listed.
func (r *result) totals() string {
	objects, pages, bytes := 0, 0, int64(0)
	for i, l := range r.traffic.lists {
		objects, pages, bytes = objects+r.objects[i], pages+l.pages, bytes+l.bytes
	}
	return fmt.Sprintf("%d objects of %d kinds in %d pages, %s", objects, len(r.traffic.lists), pages, megabytes(bytes))
}

func (r *result) sides() string {
	return sides(len(r.doctor), [][]string{
		row("bare LIST of the same kinds", r.bare),
		row("doctor, whole run", r.doctor),
		row("doctor, first run of all", samples{r.cold}),
	})
}

// sides is the table of what was measured side by side.
func sides(runs int, rows [][]string) string {
	return table([]string{"", fmt.Sprintf("wall, median of %d", runs), "least – most", "CPU", "peak memory"}, rows)
}

func row(name string, all samples) []string {
	least, most := all.spread()
	return []string{name, seconds(all.wall()), seconds(least) + " – " + seconds(most), seconds(all.cpu()), megabytes(all.memory())}
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// sized is what is measured against a target for targetNodes: a larger cluster is
// not held to it.
func sized(nodes int, what, measured, target string, met bool) []string {
	if nodes > targetNodes {
		return []string{what, measured, fmt.Sprintf("%s on %d nodes", target, targetNodes), ""}
	}
	return []string{what, measured, target, verdict(met)}
}

func (r *result) targets() string {
	rows := [][]string{
		{"doctor ÷ bare LIST", fmt.Sprintf("%.2f", r.ratio()), fmt.Sprintf("≤ %.1f", targetRatio), verdict(r.ratio() <= targetRatio)},
		sized(r.diagnosis.Origin.Nodes, "doctor's peak memory", megabytes(r.doctor.memory()), "≤ "+megabytes(targetMemory), r.doctor.memory() <= targetMemory),
		{"LISTs started more than once", strconv.Itoa(len(r.traffic.twice())), "0", verdict(len(r.traffic.twice()) == 0)},
	}
	for _, s := range r.starts {
		wall := s.samples.wall()
		rows = append(rows, []string{"`" + s.name + "`, median", milliseconds(wall), "≤ " + milliseconds(targetStart), verdict(wall <= targetStart)})
	}
	return table([]string{"", "measured", "target", ""}, rows)
}

func (r *result) lists() string {
	var rows [][]string
	for i, l := range r.traffic.lists {
		rows = append(rows, []string{l.name(), strconv.Itoa(r.objects[i]), strconv.Itoa(l.starts), strconv.Itoa(l.pages), megabytes(l.bytes)})
	}
	return table([]string{"kind", "objects", "LISTs", "pages", "before compression"}, rows)
}

// others are the requests beside the LISTs, those to the nodes' kubelets folded.
func (r *result) others() string {
	node := regexp.MustCompile(`/nodes/[^/]+/`)
	times := map[string]int{}
	var paths []string
	for _, path := range r.traffic.others {
		path = node.ReplaceAllString(path, "/nodes/…/")
		if times[path]++; times[path] == 1 {
			paths = append(paths, path)
		}
	}
	for i, path := range paths {
		if times[path] > 1 {
			paths[i] = fmt.Sprintf("%s (%d times)", path, times[path])
		}
	}
	return fmt.Sprintf("Beside the LISTs doctor sent %d requests: %s.\n", len(r.traffic.others), strings.Join(paths, ", "))
}

// table is a Markdown table whose columns also line up as text.
func table(header []string, rows [][]string) string {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)), 3)
		}
	}
	var text strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			text.WriteString("| " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+1))
		}
		text.WriteString("|\n")
	}
	line(header)
	for _, width := range widths {
		text.WriteString("|" + strings.Repeat("-", width+2))
	}
	text.WriteString("|\n")
	for _, row := range rows {
		line(row)
	}
	return text.String()
}

func seconds(d time.Duration) string      { return fmt.Sprintf("%.2f s", d.Seconds()) }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// megabytes are of 1,048,576 bytes.
func megabytes(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.2f MB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
}
