//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// More outcomes of a cell.
const (
	// unknown: there is an answer, and it is that nobody can tell.
	unknown outcome = "cannot tell"
	// without: told; the answer stands without it, and is no better than with it.
	without outcome = "told, answered without"
	// noAnswer: refused, one line on standard error, exit code 2.
	noAnswer outcome = "refused"
	// warned: the job is done, and what could not be done beside it is told.
	warned outcome = "done, with a warning"
	// accounted: the journal knows what was written, and undo takes it back.
	accounted outcome = "accounted for"
)

// matrix counts the cells that ended as declared, by verb and outcome.
type matrix struct {
	mu    sync.Mutex
	cells map[string]map[outcome]int
}

func (m *matrix) add(verb string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[string]map[outcome]int{}
	}
	if m.cells[verb] == nil {
		m.cells[verb] = map[outcome]int{}
	}
	m.cells[verb][o]++
}

// table is the matrix as docs/faults.md has it.
func (m *matrix) table() string {
	var text strings.Builder
	text.WriteString("| command | outcome | cells |\n| --- | --- | --- |\n")
	total := 0
	for _, verb := range slices.Sorted(maps.Keys(m.cells)) {
		for _, o := range slices.Sorted(maps.Keys(m.cells[verb])) {
			fmt.Fprintf(&text, "| %s | %s | %d |\n", verb, o, m.cells[verb][o])
			total += m.cells[verb][o]
		}
	}
	fmt.Fprintf(&text, "| | all | %d |\n", total)
	return text.String()
}

// published holds what docs/faults.md says of the matrix: at least so many cells
// of each command: which of two right outcomes a cell has can be a matter of time. E2E_UPDATE=1 writes the page's table anew.
func (m *matrix) published(t *testing.T) {
	t.Helper()
	const begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
	path := filepath.Join(root, "docs", "faults.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table", path)
	}
	if os.Getenv("E2E_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(before+begin+m.table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getenv("KUBERNETES") != "" {
		return // the page is of the newest, which serves more kinds
	}
	said := map[string]int{}
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.Trim(line, "| \n"), " | ")
		var cells int
		if len(fields) != 3 {
			continue
		}
		if n, _ := fmt.Sscan(fields[2], &cells); n == 1 {
			said[fields[0]] += cells
		}
	}
	if len(said) == 0 {
		t.Errorf("%s tells of no cell", path)
	}
	for command, want := range said {
		cells := 0
		for _, n := range m.cells[command] {
			cells += n
		}
		if cells < want {
			t.Errorf("the page says %d cells of %s, and there were %d", want, command, cells)
		}
	}
}

// spoilt runs the plugin behind a proxy that does something to some requests,
// for as long as a cell may take. fires counts the requests that it was done to.
func (c *testCluster) spoilt(t *testing.T, rule fault.Rule, env []string, args ...string) (r result, fires int) {
	t.Helper()
	return c.spoiltFor(t, fireDeadline, rule, env, args...)
}

func (c *testCluster) spoiltFor(t *testing.T, deadline time.Duration, rule fault.Rule, env []string, args ...string) (r result, fires int) {
	t.Helper()
	proxy := fault.NewProxy(t, c.kubeconfig)
	var mu sync.Mutex
	inner := rule.Fault
	rule.Fault = func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		mu.Lock()
		fires++
		mu.Unlock()
		inner(w, r, pass)
	}
	proxy.Spoil(rule)
	start := time.Now()
	r = run(t, append([]string{"KUBECONFIG=" + proxy.Kubeconfig, "PATH=" + c.path}, env...), c.lookUp(t, "kubectl-prod"), args...)
	if took := time.Since(start); took > deadline {
		t.Errorf("took %s", took)
	}
	if strings.Contains(r.stderr, "goroutine ") {
		t.Errorf("crashed\n%s", r.stderr)
	}
	mu.Lock()
	defer mu.Unlock()
	return r, fires
}

// isRefusal reports whether a command ended without an answer, as it should.
func (r result) isRefusal() bool {
	return r.code == 2 && r.stdout == "" && strings.HasPrefix(r.stderr, "error: ") && strings.Count(r.stderr, "\n") == 1
}

// of is the fault on the reads of one kind.
func of(kind cluster.Kind, rule fault.Rule) fault.Rule {
	rule.Match = func(r *http.Request) bool { return r.Method == http.MethodGet && asksFor(r, kind) }
	return rule
}

// someFires are the faults by these names.
func someFires(names ...string) map[string]fault.Rule {
	some := map[string]fault.Rule{}
	for name, fire := range fires() {
		if slices.Contains(names, name) || len(names) == 0 {
			some[name] = fire.rule
		}
	}
	return some
}

// overcome reports whether a fault is none to who asks again.
func overcome(name string) bool { return fires()[name].want == asEver }

// pluginAt is the plugin, to be started behind a kubeconfig and signalled.
func (c *testCluster) pluginAt(t *testing.T, kubeconfig string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl-prod"), args...)
	command.Env = append(os.Environ(), append([]string{"KUBECONFIG=" + kubeconfig, "PATH=" + c.path}, env...)...)
	return command
}

// patienceWith is the --request-timeout of a cell: short only where the fault is
// that nothing comes.
func patienceWith(name string) string {
	if name == "no answer" || name == "a trickle" {
		return "2s"
	}
	return "10s"
}
