package drain

import (
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// devices are one device on each of the nodes, and their class.
func devices(nodes ...string) string {
	text := `---
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: gpu}
spec: {selectors: [{cel: {expression: "device.driver == 'gpu.test'"}}]}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: gpu, namespace: shop}
spec: {spec: {devices: {requests: [{name: one, exactly: {deviceClassName: gpu, allocationMode: ExactCount, count: 1}}]}}}
`
	for _, name := range nodes {
		text += `---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: ` + name + `}
spec: {driver: gpu.test, nodeName: ` + name + `, pool: {name: ` + name + `, resourceSliceCount: 1, generation: 1}, devices: [{name: d0}]}
`
	}
	return text
}

// withDevice is a pod with a claim of a template; on is the node of the device
// that the claim has, "" without.
func withDevice(pod, name, on string) string {
	claim := `---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: ` + name + `-claim, namespace: shop, uid: claim-` + name + `, ownerReferences: [{apiVersion: v1, kind: Pod, name: ` + name + `, uid: ` + name + `, controller: true}]}
spec: {devices: {requests: [{name: one, exactly: {deviceClassName: gpu, allocationMode: ExactCount, count: 1}}]}}
`
	if on != "" {
		claim += `status:
  allocation:
    devices: {results: [{request: one, driver: gpu.test, pool: ` + on + `, device: d0}]}
    nodeSelector: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [` + on + `]}]}]}
  reservedFor: [{resource: pods, name: ` + name + `, uid: ` + name + `}]
`
	}
	pod = strings.Replace(pod, "spec:\n", "spec:\n  resourceClaims: [{name: gpu, resourceClaimTemplateName: gpu}]\n", 1)
	pod = strings.Replace(pod, "status: {", "status: {resourceClaimStatuses: [{name: gpu, resourceClaimName: "+name+"-claim}], ", 1)
	return pod + claim
}

func TestAPodWithADeviceGoesWhereAnotherOneIsFree(t *testing.T) {
	two := node("n1", "a", "4", "") + node("n2", "b", "4", "")
	web := withDevice(pod("web-1", "n1", "1", ""), "web-1", "n1")
	got := check(t, read(t, two+devices("n1", "n2")+web), question(t, "n1"))
	if got.Pods[0].To != "n2" {
		t.Errorf("to %q (%s), want n2", got.Pods[0].To, got.Pods[0].Unplaced)
	}
	got = check(t, read(t, two+devices("n1")+web), question(t, "n1"))
	if got.Verdict != report.VerdictBreaks || !strings.Contains(got.Pods[0].Unplaced, "cannot allocate all claims") {
		t.Errorf("verdict %s, %q; want that the only device stays behind", got.Verdict, got.Pods[0].Unplaced)
	}
}

// TestAWaitingPodThatHasItsDeviceAlreadyIsTriedInAnyOrder has a pod whose claim
// is allocated and reserved while the pod itself is not on a node yet. Taking
// its placement back makes the scheduler's plugin send a request.
func TestAWaitingPodThatHasItsDeviceAlreadyIsTriedInAnyOrder(t *testing.T) {
	s := read(t, node("n1", "a", "4", "")+node("n2", "b", "2", "")+devices("n2")+
		withDevice(pod("web-1", "", "1500m", ""), "web-1", "n2")+pod("xyz-1", "", "1500m", ""))
	got := check(t, s, question(t, "n1"))
	placed := 0
	for _, waiting := range got.Placement.Waiting {
		if waiting.To != "" {
			placed++
		}
	}
	if placed != 1 {
		t.Errorf("%d of the two waiting pods find n2, want one: %+v", placed, got.Placement.Waiting)
	}
}
