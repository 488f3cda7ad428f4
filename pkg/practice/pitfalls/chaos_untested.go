package pitfalls

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ChaosUntested finds clusters whose failures are still to be learned.
//
// Replicas, budgets, probes and backups are assumptions until something has
// failed. An experiment makes it fail at noon, with everybody at their desk.
// https://principlesofchaos.org/
func ChaosUntested() practice.Practice {
	return practice.Practice{
		ID:       "chaos-untested",
		Title:    "No recent chaos experiment",
		Chapter:  practice.Pitfalls,
		Severity: report.Info,
		Reason: "Replicas, budgets, probes and backups are assumptions until something has failed. " +
			"An experiment makes it fail at noon, with everybody at their desk, and not at night.",
		Judged: "Signs of an experiment in the cluster: a fault that Chaos Mesh injected (PodChaos, NetworkChaos, StressChaos), one of its workflows that ended, or a ChaosResult of Litmus that passed; " +
			"the newest must be younger than 90 days. A ChaosResult bears no date of its last run: one that passed counts. " +
			"Experiments whose objects were deleted, and game days without such tools, leave no sign.",
		Fix: "let a pod, then a node, then a zone fail on purpose, and watch; Chaos Mesh and Litmus do it on a schedule",
		Sources: []string{
			"https://principlesofchaos.org/",
			"https://chaos-mesh.org/docs/",
			"https://litmuschaos.github.io/litmus/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Uses:         append(chaosMeshFaults(), cluster.ChaosMeshWorkflows, cluster.LitmusResults),
		Thresholds:   practice.Thresholds{{Name: "days", Value: 90, Meaning: "after which an experiment proves nothing any more"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if slices.ContainsFunc(s.System(cluster.LitmusResults), passed) {
				return v
			}
			newest, what, defined := newestFault(s)
			switch {
			case !newest.IsZero() && s.Time.Sub(newest) < by.Span("days", 24*time.Hour):
				return v
			case !newest.IsZero():
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the last chaos experiment that left a sign is %d days old (%s, %s)",
					int(s.Time.Sub(newest).Hours()/24), what, newest.UTC().Format("2 January 2006")))
			case defined > 0:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "chaos experiments are defined (%d), and none has succeeded", defined))
			default:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "no sign of a chaos experiment: neither Chaos Mesh nor Litmus has left one"))
			}
			return v
		},
	}
}

func chaosMeshFaults() []cluster.Kind {
	return []cluster.Kind{cluster.ChaosMeshPods, cluster.ChaosMeshNetworks, cluster.ChaosMeshStresses}
}

// newestFault is when a fault was last injected, or a workflow last ended, by
// what; and how many experiments are defined.
func newestFault(s *cluster.Snapshot) (newest time.Time, by string, defined int) {
	note := func(object *unstructured.Unstructured, at time.Time) {
		if at.After(newest) {
			newest, by = at, fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
		}
	}
	for _, kind := range chaosMeshFaults() {
		for _, fault := range s.System(kind) {
			defined++
			for _, at := range injected(fault) {
				note(fault, at)
			}
		}
	}
	for _, workflow := range s.System(cluster.ChaosMeshWorkflows) {
		defined++
		text, _, _ := unstructured.NestedString(workflow.Object, "status", "endTime")
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			note(workflow, at)
		}
	}
	return newest, by, defined + len(s.System(cluster.LitmusResults))
}

// injected are the times at which a fault was injected into its targets.
func injected(fault *unstructured.Unstructured) []time.Time {
	var times []time.Time
	records, _, _ := unstructured.NestedSlice(fault.Object, "status", "experiment", "containerRecords")
	for _, record := range records {
		target, _ := record.(map[string]any)
		events, _, _ := unstructured.NestedSlice(target, "events")
		for _, event := range events {
			e, _ := event.(map[string]any)
			text, _ := e["timestamp"].(string)
			if at, err := time.Parse(time.RFC3339, text); err == nil && e["type"] == "Succeeded" && e["operation"] == "Apply" {
				times = append(times, at)
			}
		}
	}
	return times
}

// passed reports whether an experiment of Litmus has passed; its field was
// spelled otherwise once.
func passed(result *unstructured.Unstructured) bool {
	for _, field := range []string{"experimentStatus", "experimentstatus"} {
		if verdict, _, _ := unstructured.NestedString(result.Object, "status", field, "verdict"); verdict == "Pass" {
			return true
		}
	}
	return false
}
