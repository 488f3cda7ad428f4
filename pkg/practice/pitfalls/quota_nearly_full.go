package pitfalls

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// fewObjects is how many objects of a kind a quota allows at the least to be
	// judged: one of one LoadBalancer is what was meant.
	fewObjects = 10
)

// QuotaNearlyFull finds namespaces in which the next pod is refused.
//
// A rollout makes new pods before it ends old ones, and an autoscaler makes more
// when it matters. With the quota used up both stop half-way, with an event on a
// ReplicaSet that nobody watches.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/
func QuotaNearlyFull() practice.Practice {
	return practice.Practice{
		ID:       "quota-nearly-full",
		Title:    "Quota that is nearly used up",
		Chapter:  practice.Pitfalls,
		Severity: report.Warning,
		Now:      true,
		Reason: "A rollout makes new pods before it ends old ones, and an autoscaler makes more when it matters. With the quota used up both stop half-way, " +
			"with an event on a ReplicaSet that nobody watches.",
		Judged: "The status of each ResourceQuota: what is used against what is allowed, more than 90 %. Quotas of zero forbid on purpose; counts of objects are judged from 10 allowed.",
		Fix:    "raise the quota, or lower what the namespace requests and does not use",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/policy/resource-quotas/",
		},
		LiveOnly:   true,
		Needs:      []cluster.Kind{cluster.ResourceQuotas},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 90, Meaning: "of a quota, above which the next rollout may not fit"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			for _, quota := range s.ResourceQuotas {
				if len(quota.Status.Hard) == 0 {
					continue // the controller has not looked at it yet
				}
				ref := cluster.RefOf("v1", "ResourceQuota", &quota.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if full := fullOf(quota, by.Of("percent")); len(full) > 0 {
					v.Findings = append(v.Findings, practice.On(ref, "status.used", "nearly used up: %s", strings.Join(full, ", ")))
				}
			}
			return v
		},
	}
}

// fullOf words each resource of a quota that is nearly used up.
func fullOf(quota *corev1.ResourceQuota, nearly float64) []string {
	var full []string
	for name, hard := range quota.Status.Hard {
		used := quota.Status.Used[name]
		if hard.IsZero() || (isCount(name) && hard.Value() < fewObjects) {
			continue
		}
		if share := 100 * used.AsApproximateFloat64() / hard.AsApproximateFloat64(); share > nearly {
			full = append(full, fmt.Sprintf("%s %.0f %% (%s of %s)", name, share, used.String(), hard.String()))
		}
	}
	slices.Sort(full)
	return full
}

// isCount reports whether a quota counts objects rather than amounts.
func isCount(name corev1.ResourceName) bool {
	if strings.HasPrefix(string(name), "count/") {
		return true
	}
	return slices.Contains([]corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceQuotas, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	}, name) || strings.HasSuffix(string(name), "/persistentvolumeclaims")
}
