//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// steering is text that moves the cursor, colours, reorders, hides, runs or
// calculates, where nobody looks at it as text.
const steering = "\x1b[2J\x1b]0;owned\x07 \u009b31m \u202egnp.exe\u2066 zero\u200bwidth </script><script>window.ran = 1</script><img src=x onerror=\"window.ran = 1\"> =cmd|' /C calc'!A0 ]]> | `code`"

// hostileObjects are put on a real server, with such text in every field that
// the server takes it in and that some report tells.
func hostileObjects(t *testing.T, c *testCluster) {
	t.Helper()
	meta := func(name string) map[string]any {
		return map[string]any{"name": name, "namespace": "hostile", "annotations": map[string]any{
			"kubernetes.io/change-cause": steering, "ignore.prod.kubectl.io/memory-limit-unset": steering,
			"long": strings.Repeat(steering, 1000), "meta.helm.sh/release-name": steering, "argocd.argoproj.io/tracking-id": steering,
		}}
	}
	pod := map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"app": "hostile"}, "annotations": map[string]any{"note": steering}},
		"spec": map[string]any{
			"nodeSelector": map[string]any{"no-such": "node"},
			"containers": []any{map[string]any{
				"name": "app", "image": "registry.example/" + steering, "command": []any{"sh", "-c", steering}, "workingDir": steering,
				"env":          []any{map[string]any{"name": "DB_PASSWORD", "value": steering}},
				"volumeMounts": []any{map[string]any{"name": "host", "mountPath": "/" + strings.ReplaceAll(steering, ":", "")}},
			}},
			"volumes": []any{map[string]any{"name": "host", "hostPath": map[string]any{"path": "/" + strings.ReplaceAll(steering, "..", "")}}},
		},
	}
	objects := []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "hostile", "annotations": map[string]any{"note": steering}}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("app"), "spec": map[string]any{
			"replicas": 2, "selector": map[string]any{"matchLabels": map[string]any{"app": "hostile"}}, "template": pod,
		}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "big", "namespace": "hostile"}, "data": map[string]any{"password": strings.Repeat(steering, 3000)}},
		{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "hostile", "namespace": "hostile"},
			"involvedObject": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "hostile", "name": "app"},
			"reason":         "Failed " + steering, "message": steering, "type": "Warning", "count": 99,
			"source":         map[string]any{"component": steering},
			"firstTimestamp": time.Now().UTC().Format(time.RFC3339), "lastTimestamp": time.Now().UTC().Format(time.RFC3339)},
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hostile.json")
	writeFile(t, file, string(list))
	c.must(t, "create", "-f", file) // a patch may hold no control characters
	eventually(t, time.Minute, func() error {
		if n := strings.Count(c.must(t, "get", "pods", "-n", "hostile", "-o", "name"), "\n"); n != 2 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	})
}

// toldSafely runs each verb over hostile objects in each of its formats: no
// output steers who reads it, and the page runs nothing in a browser.
func toldSafely(t *testing.T, c *testCluster) {
	hostileObjects(t, c)
	defer c.must(t, "delete", "namespace", "hostile", "--wait=false")
	everywhere := slices.Clip([]string{"", "wide", "json", "yaml", "kyaml"})
	for _, verb := range []struct {
		args    []string
		formats []string
	}{
		{[]string{"doctor", "-n", "hostile"}, append(everywhere, "name", "markdown", "html", "sarif", "junit", "csv", "prometheus")},
		{[]string{"doctor", "-n", "hostile", "--now"}, everywhere},
		{[]string{"doctor", "-n", "hostile", "--show-ignored"}, everywhere},
		{[]string{"harden", "-n", "hostile", "--dry-run=server"}, append(everywhere, "kustomize")},
		{[]string{"drain-check", "worker-a1", "--force"}, everywhere},
		{[]string{"drain-check", "--all", "--plan", "--force"}, everywhere},
	} {
		for _, format := range verb.formats {
			t.Run(strings.Join(append(verb.args, format), " "), func(t *testing.T) {
				args := append([]string{"prod"}, verb.args...)
				if format != "" {
					args = append(args, "-o", format)
				}
				r := c.kubectl(t, nil, args...)
				if r.code > 1 {
					t.Errorf("exit code %d: %s", r.code, r.stderr)
				}
				for name, out := range map[string]string{"standard output": r.stdout, "standard error": r.stderr} {
					steers := "\x1b\x07\x7f\u009b\u202e\u2066\u200b"
					if format == "kustomize" {
						steers = "\x1b\x07\x7f\u009b" // in a file for Git the others may stand as they are
					}
					if at := strings.IndexAny(out, steers); at >= 0 {
						t.Errorf("%s steers who reads it: %q", name, out[max(0, at-60):min(len(out), at+60)])
					}
					if !utf8.ValidString(out) {
						t.Errorf("%s is not UTF-8", name)
					}
				}
			})
		}
	}
	t.Run("the page runs nothing", func(t *testing.T) {
		page := filepath.Join(t.TempDir(), "report.html")
		c.kubectl(t, nil, "prod", "doctor", "-n", "hostile", "-o", "html", "--output-file", page)
		text, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(text), "gnp.exe") {
			t.Fatalf("%v: the hostile text is not in the page", err)
		}
		b := startBrowser(t)
		b.open(t, "file://"+page)
		if ran := b.number(t, "window.ran || 0"); ran != 0 {
			t.Error("a script of the cluster's text ran")
		}
		if shown := b.number(t, `document.querySelectorAll("img").length`); shown != 0 {
			t.Errorf("%v images of the cluster's text", shown)
		}
	})
}
