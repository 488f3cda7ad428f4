package security

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SecretsEncryptionOff finds API servers that write Secrets in the clear.
//
// Without a key of its own the API server writes Secrets into etcd as they are:
// a stolen disk, a snapshot in a bucket, a backup on a laptop holds every
// password of the cluster.
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
func SecretsEncryptionOff() practice.Practice {
	return practice.Practice{
		ID:       "secrets-encryption-off",
		Title:    "Secrets written to etcd in the clear",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Unless it is given a key, the API server writes Secrets into etcd as they are: a stolen disk, a snapshot in a bucket or a backup on a laptop " +
			"holds every password of the cluster.",
		Judged: "The flags of the API servers that run as pods: --encryption-provider-config must be set. What stands in that file, and whether old Secrets were written anew since, cannot be seen from here.",
		Fix:    "give the API server an EncryptionConfiguration, best with a KMS; then write all Secrets anew",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Pods},
		Check: eachAPIServer(func(flags map[string]string) string {
			if flags["encryption-provider-config"] != "" {
				return ""
			}
			return "Secrets are written to etcd unencrypted: --encryption-provider-config is not set"
		}),
	}
}
