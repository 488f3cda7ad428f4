package drain

import (
	"strings"
	"testing"
)

// packing is a scheduler's configuration with a second profile that fills nodes
// up, as its first does not.
const packing = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
  plugins:
    score: {disabled: [{name: NodeResourcesBalancedAllocation}]}
`

func TestTheSchedulersConfigurationDecides(t *testing.T) {
	configuration, err := SchedulerConfiguration([]byte(packing))
	if err != nil {
		t.Fatal(err)
	}
	for scheduler, want := range map[string]string{"default-scheduler": "n2", "packing": "n3", "theirs": ""} {
		s := read(t, node("n1", "a", "4", ""), node("n2", "a", "4", ""), node("n3", "a", "4", ""), pod("full-1", "n3", "3", ""),
			strings.Replace(pod("web-1", "n1", "1", ""), "default-scheduler", scheduler, 1))
		q := question(t, "n1")
		q.Scheduler = configuration
		if got := check(t, s, q).Pods[0]; got.To != want || (got.Unknown != "") != (want == "") {
			t.Errorf("by %s to %q (%s), want %q", scheduler, got.To, got.Unknown, want)
		}
	}
}

func TestABrokenConfigurationOfTheSchedulerIsRefusedWithItsReason(t *testing.T) {
	for text, says := range map[string]string{
		"apiVersion: v1\nkind: Pod\n": `no kind "Pod" is registered for version "v1"`,
		"{":                           "json parse error",
		"apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{schedulerName: a, plugins: {score: {enabled: [{name: Nonesuch}]}}}, {schedulerName: a}]\n": "Duplicate value",
	} {
		if _, err := SchedulerConfiguration([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
