package catalogue

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

func TestZZ(t *testing.T) {
	var b strings.Builder
	for n := 0; n < 200; n++ {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Node\nmetadata: {name: n%d, labels: {topology.kubernetes.io/zone: z%d}}\nstatus: {allocatable: {cpu: \"32\", memory: 128Gi, pods: \"250\"}, nodeInfo: {kubeletVersion: v1.37.2}, conditions: [{type: Ready, status: \"True\"}]}\n", n, n%3)
	}
	for ns := 0; ns < 100; ns++ {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns%d, labels: {pod-security.kubernetes.io/enforce: baseline}}\n", ns)
		for d := 0; d < 10; d++ {
			fmt.Fprintf(&b, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, namespace: ns%d, uid: u%d-%d}\nspec: {replicas: 5, selector: {matchLabels: {app: d%d}}, template: {metadata: {labels: {app: d%d}}, spec: {serviceAccountName: sa, containers: [{name: a, image: \"a:1.2\", env: [{name: DB_PASSWORD, value: $(X)}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]}}}\n", d, ns, ns, d, d, d)
			fmt.Fprintf(&b, "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p%d, namespace: ns%d}\nspec: {podSelector: {matchLabels: {app: d%d}}}\n", d, ns, d)
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: ns%d}\ndata: {a: %q}\n", d, ns, strings.Repeat("key: value of something\n", 200))
			for p := 0; p < 5; p++ {
				fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: d%d-%d, namespace: ns%d, labels: {app: d%d, pod-template-hash: h}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d%d, uid: u%d-%d, controller: true}]}\nspec: {nodeName: n%d, serviceAccountName: sa, containers: [{name: a, image: \"a:1.2\", resources: {requests: {cpu: 100m, memory: 64Mi}}}]}\nstatus: {phase: Running, startTime: \"2026-01-01T00:00:00Z\"}\n---\napiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {name: d%d-%d, namespace: ns%d}\ncontainers: [{name: a, usage: {cpu: 10m, memory: 10Mi}}]\n", d, p, ns, d, d, ns, d, (ns*50+d*5+p)%200, d, p, ns)
			}
		}
	}
	f := t.TempDir() + "/x.yaml"
	os.WriteFile(f, []byte(b.String()), 0o644)
	s, errs := cluster.Manifests{Filenames: []string{f}, AsLive: true, Time: testTime()}.Load()
	t.Log(len(errs), len(s.Pods))
	type r struct {
		id string
		d  time.Duration
	}
	var rs []r
	for _, p := range All() {
		start := time.Now()
		practice.Evaluate(s, []practice.Practice{p}, practice.Scope{})
		rs = append(rs, r{p.ID, time.Since(start)})
	}
	sort.Slice(rs, func(i, j int) bool { return rs[i].d > rs[j].d })
	for _, x := range rs[:18] {
		t.Log(x.id, x.d)
	}
}
