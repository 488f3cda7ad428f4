package operations

import (
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// JobFinishedForever finds Jobs that ended long ago and stay.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
func JobFinishedForever() practice.Practice {
	return practice.Practice{
		ID:       "job-finished-forever",
		Title:    "Job that finished long ago and is kept",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A finished Job keeps its pods, and those their logs on a node and their place in every list. A pipeline that makes one each hour fills the cluster's store.",
		Judged: "Jobs that finished more than 7 days ago, without ttlSecondsAfterFinished. Exempt are those that something owns, as a CronJob, which keeps a few on purpose, " +
			"and Helm's hooks, which Helm deletes.",
		Fix:      "set spec.ttlSecondsAfterFinished, and delete the ones that are there",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Jobs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, job := range s.Jobs {
				if len(job.OwnerReferences) > 0 || job.Annotations["helm.sh/hook"] != "" {
					continue
				}
				ref := cluster.RefOf("batch/v1", "Job", &job.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if at := finishedAt(job); at != nil && job.Spec.TTLSecondsAfterFinished == nil && s.Time.Sub(at.Time) > forgotten {
					v.Findings = append(v.Findings, practice.On(ref, "spec.ttlSecondsAfterFinished", "finished %d days ago, and nothing deletes it", int(s.Time.Sub(at.Time).Hours()/24)).
						Mended("kubectl delete job %s -n %s; set ttlSecondsAfterFinished where it is made", job.Name, job.Namespace))
				}
			}
			return v
		},
	}
}

func finishedAt(job *batchv1.Job) *metav1.Time {
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return &c.LastTransitionTime
		}
	}
	return nil
}

// WorkloadAtZero finds workloads that somebody stopped and forgot.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment
func WorkloadAtZero() practice.Practice {
	return practice.Practice{
		ID:       "workload-at-zero",
		Title:    "Workload scaled to none and left",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A workload at zero looks deployed and serves nobody. A Service in front of it refuses connections, and its configuration and volumes stay for the day that nobody remembers.",
		Judged: "Deployments and StatefulSets with 0 replicas, older than 7 days, that nothing scales: KEDA and Knative go to none on purpose, and an autoscaler rests while its target is at zero. " +
			"When they were scaled the API does not tell.",
		Fix:      "delete it, or say why it is kept: annotate it and ignore this practice there",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment"},
		LiveOnly: true,
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:     []cluster.Kind{cluster.Autoscalers, cluster.ScaledObjects, cluster.Services},
		Check: practice.EachWorkload((*cluster.Workload).HasReplicas, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if *w.Replicas > 0 || w.Scaler != "" || w.Owner != w.Self || s.Time.Sub(w.Meta.CreationTimestamp.Time) < forgotten {
				return nil
			}
			finding := practice.On(w.Owner, "spec.replicas", "is scaled to none%s", old(s.Time, w.Meta.CreationTimestamp))
			if w.IsServed() {
				finding.Message += "; Service " + w.Services[0].Name + " depends on it"
			}
			return []practice.Finding{finding}
		}),
	}
}

// ReplicaSetLeftover finds ReplicaSets without a Deployment.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
func ReplicaSetLeftover() practice.Practice {
	return practice.Practice{
		ID:       "replicaset-leftover",
		Title:    "ReplicaSet without an owner",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A Deployment deleted with --cascade=orphan leaves its ReplicaSets. They keep running old pods, which Services still select, and no rollout touches them.",
		Judged:   "ReplicaSets that no controller owns and that carry a pod-template-hash, which only Deployments give. Those that a Deployment keeps for a rollback are its own.",
		Fix:      "delete it, or create the Deployment again, which adopts it",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#deleting-just-a-replicaset", "https://kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.ReplicaSets},
		Uses:     []cluster.Kind{cluster.Pods},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, rs := range s.ReplicaSets {
				ref := cluster.RefOf("apps/v1", "ReplicaSet", &rs.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if metav1.GetControllerOf(rs) != nil || rs.Labels["pod-template-hash"] == "" {
					continue
				}
				pods := 0
				if w := s.WorkloadByRef(ref); w != nil {
					pods = len(w.Pods)
				}
				v.Findings = append(v.Findings, practice.On(ref, "metadata.ownerReferences", "no Deployment owns it, and it runs %d pods%s", pods, old(s.Time, rs.CreationTimestamp)).
					Mended("kubectl delete replicaset %s -n %s", rs.Name, rs.Namespace))
			}
			return v
		},
	}
}

func hasPrefixOf(name string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func hasSuffixOf(name string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
