package operations

import (
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// settled is how old a ConfigMap must be: a deployment creates them before
// what uses them.
const settled = time.Minute

// UnusedConfigMap finds ConfigMaps that nothing refers to.
//
// What is left over is read by the next person as if it mattered: they change
// it, and nothing happens, or they keep it, for fear that something would.
// https://kubernetes.io/docs/concepts/configuration/configmap/
func UnusedConfigMap() practice.Practice {
	return practice.Practice{
		ID:       "unused-configmap",
		Title:    "ConfigMap that nothing refers to",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason: "What is left over is read by the next person as if it mattered: they change it, and nothing happens, " +
			"or they keep it, for fear that something would.",
		Judged: "Each ConfigMap older than a minute, the platform's excepted. Uses are looked for in all pods and in the template of every workload, also of CronJobs and of what is scaled to none: " +
			"volumes, projected volumes, env, envFrom, of all kinds of containers, any mention of the name in a command, argument, variable or annotation, and in the custom resources that doctor knows. " +
			"Exempt are those that something owns, or that carry the mark of a program that finds them by name or label. " +
			"References from other custom resources and from ReplicaSets kept for a rollback are not seen.",
		Fix: "keep a copy, then delete it",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/configmap/",
		},
		LiveOnly: true,
		Needs: []cluster.Kind{
			cluster.ConfigMaps, cluster.Pods, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Jobs, cluster.CronJobs,
		},
		Uses: namingKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			uses := configMapUses(s)
			for _, cm := range s.ConfigMaps {
				if cluster.IsPlatform(cm.Namespace) || hasConsumer(cm) || s.Time.Sub(cm.CreationTimestamp.Time) < settled {
					continue
				}
				ref := cluster.RefOf("v1", "ConfigMap", &cm.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if !uses.of(cm.Namespace, cm.Name) {
					v.Findings = append(v.Findings, practice.On(ref, "", "none of the %d workloads of namespace %s refers to it%s",
						len(s.WorkloadsIn(cm.Namespace)), cm.Namespace, old(s.Time, cm.CreationTimestamp)).
						Mended("kubectl get configmap %[1]s -n %[2]s -o yaml > %[1]s.yaml && kubectl delete configmap %[1]s -n %[2]s", cm.Name, cm.Namespace))
				}
			}
			return v
		},
	}
}
