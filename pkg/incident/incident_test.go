package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestEventsAreFoldedByCause(t *testing.T) {
	const event = `
---
apiVersion: v1
kind: Event
metadata: {name: NAME, namespace: shop}
type: Warning
reason: REASON
message: MESSAGE
count: COUNT
lastTimestamp: "LAST"
involvedObject: {apiVersion: v1, kind: Pod, namespace: shop, name: POD}`
	const pods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-5f, namespace: shop, uid: r, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5f-x1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5f, uid: r, controller: true}]}
spec: {containers: [{name: app, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5f-x2, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5f, uid: r, controller: true}]}
spec: {containers: [{name: app, image: a}]}`
	text := pods
	for _, e := range [][6]string{
		{"e1", "BackOff", "Back-off restarting failed container app in pod web-5f-x1_shop(7a2b)", "12", "2026-01-15T11:58:00Z", "web-5f-x1"},
		{"e2", "BackOff", "Back-off restarting failed container app in pod web-5f-x2_shop(9c1d)", "9", "2026-01-15T11:59:00Z", "web-5f-x2"},
		{"e3", "FailedMount", "MountVolume.SetUp failed for volume data", "1", "2026-01-15T11:30:00Z", "gone"},
		{"e4", "BackOff", "Back-off restarting failed container app in pod web-5f-x2_shop(9c1d)", "99", "2026-01-15T09:00:00Z", "web-5f-x2"},
	} {
		text += strings.NewReplacer("NAME", e[0], "REASON", e[1], "MESSAGE", e[2], "COUNT", e[3], "LAST", e[4], "POD", e[5]).Replace(event)
	}
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(text), Time: now, AsLive: true}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	d := &report.Diagnosis{}
	Tell(s, d)
	if len(d.Events) != 2 {
		t.Fatalf("%d groups: %+v", len(d.Events), d.Events)
	}
	first := d.Events[0]
	if first.Object.String() != "deployment.apps/web" || first.Count != 21 || first.Objects != 2 || !strings.Contains(first.Message, "x2_shop") {
		t.Errorf("the crash loop is told as %+v", first)
	}
	if second := d.Events[1]; second.Reason != "FailedMount" || second.Object.Name != "gone" {
		t.Errorf("the other is told as %+v", second)
	}
}
