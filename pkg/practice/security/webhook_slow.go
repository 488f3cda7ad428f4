package security

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// WebhookSlow finds webhooks that the API server waits for too long.
//
// While a webhook is waited for, its request holds a place in the API server,
// and controllers and kubelets, whose own timeouts are short, give up and try
// again: one slow backend slows the cluster.
// https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
func WebhookSlow() practice.Practice {
	return practice.Practice{
		ID:       "webhook-slow",
		Title:    "Webhook that is waited for too long",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "While a webhook is waited for, its request holds a place in the API server, and controllers and kubelets, whose own timeouts are short, " +
			"give up and try again: one backend that hangs slows the whole cluster.",
		Judged: "timeoutSeconds of each webhook: at most 10, which is the default. How long its backend really takes is not measured here. A webhook whose backend is the platform's is the platform's finding.",
		Fix:    "set timeoutSeconds to what the backend needs, a few seconds at most",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/",
			"https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts",
		},
		ClusterScope: true,
		Judges:       webhookKinds(),
		Thresholds:   practice.Thresholds{{Name: "seconds", Value: 10, Meaning: "that the API server waits; it is its default"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return eachWebhook(func(_ *cluster.Snapshot, w webhook) []practice.Finding {
				if float64(w.timeout) <= by.Of("seconds") {
					return nil
				}
				how := "then passes the request"
				if w.fails {
					how = "then refuses the request"
				}
				return []practice.Finding{practice.On(w.ref, w.path+".timeoutSeconds", "the API server waits up to %d s for %q, and %s", w.timeout, w.name, how)}
			})(s)
		},
	}
}
