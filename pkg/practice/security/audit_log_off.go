package security

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// AuditLogOff finds clusters that do not know what happened.
//
// The audit log is the one place that says who did what, when and from where.
// It is off by default, and cannot be switched on for yesterday.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
func AuditLogOff() practice.Practice {
	return practice.Practice{
		ID:       "audit-log-off",
		Title:    "API server without an audit log",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "The audit log is the one place that says who did what to a cluster, when and from where. " +
			"It is off by default, and cannot be switched on for yesterday.",
		Judged: "The flags of the API servers that run as pods: --audit-policy-file must be set, without which nothing is logged, and --audit-log-path or --audit-webhook-config-file.",
		Fix:    "give the API server an audit policy and a place to write to",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Pods},
		Check: eachAPIServer(func(flags map[string]string) string {
			switch {
			case flags["audit-log-path"] == "" && flags["audit-webhook-config-file"] == "":
				return "nothing is audited: neither --audit-log-path nor --audit-webhook-config-file is set"
			case flags["audit-policy-file"] == "":
				return "nothing is audited: --audit-policy-file is not set"
			}
			return ""
		}),
	}
}
