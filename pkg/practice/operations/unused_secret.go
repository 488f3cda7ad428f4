package operations

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// UnusedSecret finds credentials that nothing needs.
//
// A forgotten Secret is a credential that nobody rotates and everybody who may
// read the namespace has.
// https://kubernetes.io/docs/concepts/security/secrets-good-practices/
func UnusedSecret() practice.Practice {
	return practice.Practice{
		ID:       "unused-secret",
		Title:    "Secret that nothing refers to",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A forgotten Secret is a credential that nobody rotates, that may still open a door, and that everybody has who may read the namespace.",
		Judged: "Each Secret older than a minute by its metadata alone, the platform's excepted. Uses are looked for in all pods and in every workload's template, also of CronJobs and of what is scaled to none: " +
			"volumes, projected volumes, CSI volumes, env, envFrom, imagePullSecrets; in service accounts, Ingresses, PersistentVolumes and the custom resources that doctor knows; " +
			"and any mention of the name in a command, argument, variable or annotation. Exempt are those with an owner or the mark of a program that finds them by label, " +
			"and the types that Helm, tokens and bootstrapping use. References from other custom resources are not seen.",
		Fix:      "make sure that nobody outside the cluster reads it, then revoke the credential and delete it",
		Sources:  []string{"https://kubernetes.io/docs/concepts/security/secrets-good-practices/"},
		LiveOnly: true,
		Needs: []cluster.Kind{
			cluster.Secrets, cluster.Pods, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Jobs, cluster.CronJobs,
			cluster.ServiceAccounts, cluster.Ingresses,
		},
		Uses: append([]cluster.Kind{cluster.TLSSecrets, cluster.Volumes}, namingKinds()...),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			uses := secretUses(s)
			judge := func(secret *metav1.ObjectMeta) {
				if cluster.IsPlatform(secret.Namespace) || hasReader(secret) || young(s.Time, secret.CreationTimestamp) {
					return
				}
				ref := cluster.RefOf("v1", "Secret", secret)
				v.Judged = append(v.Judged, ref)
				if !uses.of(secret.Namespace, secret.Name) {
					v.Findings = append(v.Findings, practice.On(ref, "", "none of the %d workloads of namespace %s refers to it%s", len(s.WorkloadsIn(secret.Namespace)), secret.Namespace, old(s.Time, secret.CreationTimestamp)).
						Mended("make sure that nobody else reads it, then kubectl delete secret %s -n %s", secret.Name, secret.Namespace))
				}
			}
			for _, secret := range s.Secrets {
				judge(&secret.ObjectMeta)
			}
			for _, secret := range s.TLSSecrets {
				judge(&secret.ObjectMeta)
			}
			return v
		},
	}
}
