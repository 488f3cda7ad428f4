package catalogue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// mostAllocations are how many times judging all practices may allocate for each
// object that a cluster has more. It is a count, which no machine changes.
const mostAllocations = 45

// TestJudgingAllocatesByTheObjectAndNoMore judges fleets of one kind in three
// sizes: what an object more takes is bounded, and is the same for the large
// ones as for the small.
func TestJudgingAllocatesByTheObjectAndNoMore(t *testing.T) {
	small, medium, large := judging(t, 10), judging(t, 40), judging(t, 160)
	first := (medium.allocations - small.allocations) / float64(medium.objects-small.objects)
	then := (large.allocations - medium.allocations) / float64(large.objects-medium.objects)
	t.Logf("%.0f allocations for %d objects, %.0f for %d, %.0f for %d: %.1f, then %.1f an object",
		small.allocations, small.objects, medium.allocations, medium.objects, large.allocations, large.objects, first, then)
	if then > mostAllocations {
		t.Errorf("%.1f allocations for each object, and at most %d are due", then, mostAllocations)
	}
	if then > 1.3*first {
		t.Errorf("an object more takes %.1f allocations in a small fleet, and %.1f in a large one", first, then)
	}
}

type judged struct {
	objects     int
	allocations float64
}

func judging(t *testing.T, apps int) judged {
	t.Helper()
	const podsPerApp = 20
	var text strings.Builder
	objects := 0
	for app := range apps {
		name := fmt.Sprintf("app-%03d", app)
		text.WriteString(strings.ReplaceAll(appManifest, "NAME", name))
		for pod := range podsPerApp {
			text.WriteString(strings.NewReplacer("NAME", name, "POD", fmt.Sprintf("%s-%02d", name, pod), "NODE", fmt.Sprintf("node-%d", pod%3)).Replace(podManifest))
		}
		objects += 3 + podsPerApp
	}
	s, errs := cluster.Manifests{
		Filenames: []string{"-"}, Stdin: strings.NewReader(text.String()), AsLive: true, Time: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC),
	}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	found := 0
	allocations := testing.AllocsPerRun(3, func() { found = len(practice.Evaluate(s, All(), practice.Scope{}).Findings) })
	if found < apps {
		t.Fatalf("only %d findings on %d apps", found, apps)
	}
	return judged{objects, allocations}
}

const appManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop, uid: d-NAME}
spec:
  replicas: 20
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: app, image: "registry.example.com/NAME:1.2", ports: [{containerPort: 8080}]}]}
status: {replicas: 20, readyReplicas: 20, availableReplicas: 20}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: NAME-5f, namespace: shop, uid: r-NAME, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: NAME, uid: d-NAME, controller: true}]}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---`

const podManifest = `
apiVersion: v1
kind: Pod
metadata:
  name: POD
  namespace: shop
  labels: {app: NAME}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: NAME-5f, uid: r-NAME, controller: true}]
spec:
  nodeName: NODE
  containers: [{name: app, image: "registry.example.com/NAME:1.2", ports: [{containerPort: 8080}]}]
status:
  phase: Running
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: app, ready: true, restartCount: 0, image: "registry.example.com/NAME:1.2"}]
---`
