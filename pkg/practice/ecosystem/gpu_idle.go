package ecosystem

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// GPUIdle finds GPUs that are held and not used.
//
// https://www.kubeflow.org/docs/components/notebooks/
func GPUIdle() practice.Practice {
	return practice.Practice{
		ID:       "gpu-idle",
		Title:    "GPU that is held and not used",
		Chapter:  practice.Ecosystem,
		Severity: report.Info,
		Reason:   "A GPU belongs to one pod for as long as the pod runs. A notebook that somebody left open on Friday holds it until Monday, while jobs wait for one.",
		Judged: "Workloads whose running pods hold GPUs (extended resources named …/gpu): less than 5 % used over the last hour, by NVIDIA's exporter in a Prometheus of the cluster (DCGM_FI_DEV_GPU_UTIL); " +
			"and Kubeflow Notebooks whose last activity (notebooks.kubeflow.org/last-activity) is more than 12 hours ago. Without either figure a workload is not judged.",
		Fix:      "stop it; let Kubeflow cull idle notebooks (ENABLE_CULLING), or share a GPU by time slices or MIG",
		Sources:  []string{"https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/", "https://www.kubeflow.org/docs/components/notebooks/", "https://docs.nvidia.com/datacenter/dcgm/latest/gpu-telemetry/dcgm-exporter.html"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     append(cluster.WorkloadKinds(), cluster.Notebooks, cluster.PrometheusGPUs),
		Thresholds: practice.Thresholds{
			{Name: "percent", Value: 5, Meaning: "of a GPU used over an hour, below which it is idle"},
			{Name: "hours", Value: 12, Meaning: "since a notebook's last activity, after which it is idle"},
		},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			active := lastActivity(s)
			var v practice.Verdict
			for _, w := range s.Workloads() {
				held := gpusHeld(w)
				if held == 0 {
					continue
				}
				judged, said := idle(s, w, active[w.Owner], by)
				if judged {
					v.Judged = append(v.Judged, w.Owner)
				}
				if said != "" {
					v.Findings = append(v.Findings, practice.On(w.Owner, "", "holds %d GPUs, and %s", held, said))
				}
			}
			return v
		},
	}
}

// idle words how a workload does not use its GPUs; judged is false when nobody
// knows.
func idle(s *cluster.Snapshot, w *cluster.Workload, last time.Time, by practice.Thresholds) (judged bool, said string) {
	if !last.IsZero() {
		judged = true
		if quiet := s.Time.Sub(last); quiet > by.Span("hours", time.Hour) {
			return true, fmt.Sprintf("nobody has used it for %d hours (last activity %s)", int(quiet.Hours()), last.UTC().Format("2006-01-02 15:04 MST"))
		}
	}
	if s.Prometheus == nil {
		return judged, ""
	}
	known, most := 0, 0.0
	for _, pod := range w.Pods {
		if used, ok := s.Prometheus.GPUs[[2]string{pod.Namespace, pod.Name}]; ok {
			known++
			most = max(most, used)
		}
	}
	if known > 0 && most < by.Of("percent") {
		return true, fmt.Sprintf("used at most %.1f %% of any over the last hour, by Prometheus", most)
	}
	return judged || known > 0, ""
}

// lastActivity is when each notebook was last used.
func lastActivity(s *cluster.Snapshot) map[cluster.Ref]time.Time {
	all := map[cluster.Ref]time.Time{}
	for _, notebook := range s.System(cluster.Notebooks) {
		if at, err := time.Parse(time.RFC3339, activity(notebook)); err == nil {
			all[cluster.RefTo(notebook)] = at
		}
	}
	return all
}

func activity(notebook *unstructured.Unstructured) string {
	return notebook.GetAnnotations()["notebooks.kubeflow.org/last-activity"]
}

// gpusHeld counts the GPUs of a workload's running pods.
func gpusHeld(w *cluster.Workload) int64 {
	held := int64(0)
	for _, pod := range w.Pods {
		if pod.Status.Phase != corev1.PodRunning || !asksForGPU(pod) {
			continue
		}
		for name, quantity := range cluster.PodRequests(pod.Whole()) {
			if isGPU(name) {
				held += quantity.Value()
			}
		}
	}
	return held
}

func isGPU(name corev1.ResourceName) bool { return strings.HasSuffix(string(name), "/gpu") }

// asksForGPU spares the sum for the many pods that do not.
func asksForGPU(pod *cluster.Pod) bool {
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			for name := range containers[i].Resources.Requests {
				if isGPU(name) {
					return true
				}
			}
		}
	}
	return false
}
