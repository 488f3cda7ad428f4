package security

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// webhook is an admission webhook, validating or mutating.
type webhook struct {
	ref        cluster.Ref // the configuration that it stands in
	path       string
	name       string
	service    *admissionregistrationv1.ServiceReference // nil for a URL
	fails      bool                                      // failurePolicy: Fail, the default
	namespaces *metav1.LabelSelector
	objects    *metav1.LabelSelector
	rules      []admissionregistrationv1.RuleWithOperations
	timeout    int32
	// conditional webhooks have conditions in CEL that cannot be judged here.
	conditional bool
}

// webhookKinds are the kinds that hold webhooks.
func webhookKinds() []cluster.Kind {
	return []cluster.Kind{cluster.ValidatingWebhooks, cluster.MutatingWebhooks}
}

func webhooks(s *cluster.Snapshot) []webhook {
	const apiVersion = "admissionregistration.k8s.io/v1"
	var all []webhook
	for _, configuration := range s.ValidatingWebhooks {
		ref := cluster.RefOf(apiVersion, "ValidatingWebhookConfiguration", &configuration.ObjectMeta)
		for i, w := range configuration.Webhooks {
			all = append(all, webhook{
				ref, fmt.Sprintf("webhooks[%d]", i), w.Name, w.ClientConfig.Service, failsClosed(w.FailurePolicy),
				w.NamespaceSelector, w.ObjectSelector, w.Rules, seconds(w.TimeoutSeconds), len(w.MatchConditions) > 0,
			})
		}
	}
	for _, configuration := range s.MutatingWebhooks {
		ref := cluster.RefOf(apiVersion, "MutatingWebhookConfiguration", &configuration.ObjectMeta)
		for i, w := range configuration.Webhooks {
			all = append(all, webhook{
				ref, fmt.Sprintf("webhooks[%d]", i), w.Name, w.ClientConfig.Service, failsClosed(w.FailurePolicy),
				w.NamespaceSelector, w.ObjectSelector, w.Rules, seconds(w.TimeoutSeconds), len(w.MatchConditions) > 0,
			})
		}
	}
	return all
}

func failsClosed(policy *admissionregistrationv1.FailurePolicyType) bool {
	return policy == nil || *policy == admissionregistrationv1.Fail
}

// seconds is a webhook's timeout, which the API server defaults to 10.
func seconds(timeout *int32) int32 {
	if timeout == nil {
		return 10
	}
	return *timeout
}

// eachWebhook judges every webhook; those whose backend is in a namespace of
// the platform are the platform's.
func eachWebhook(judge func(*cluster.Snapshot, webhook) []practice.Finding) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		var v practice.Verdict
		for _, w := range webhooks(s) {
			platform := w.service != nil && cluster.IsPlatform(w.service.Namespace)
			if !platform {
				v.Judged = append(v.Judged, w.ref)
			}
			for _, finding := range judge(s, w) {
				v.Findings = append(v.Findings, finding.OfPlatform(platform))
			}
		}
		return v
	}
}

// judgesPods reports whether a webhook is asked when a pod is made.
func (w webhook) judgesPods() bool {
	return slices.ContainsFunc(w.rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		creates := slices.Contains(rule.Operations, admissionregistrationv1.Create) || slices.Contains(rule.Operations, admissionregistrationv1.OperationAll)
		group := slices.Contains(rule.APIGroups, "") || slices.Contains(rule.APIGroups, "*")
		resource := slices.Contains(rule.Resources, "pods") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Resources, "*/*")
		scope := rule.Scope == nil || *rule.Scope != admissionregistrationv1.ClusterScope
		return creates && group && resource && scope
	})
}

// reaches reports whether a webhook is asked about a namespace. What the labels
// of a namespace are that was not read, nobody can tell: then it is not.
func (w webhook) reaches(s *cluster.Snapshot, namespace string) bool {
	if w.namespaces == nil || isEmpty(w.namespaces) {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(w.namespaces)
	ns := s.Namespace(namespace)
	if err != nil || ns == nil {
		return false
	}
	return selector.Matches(labels.Merge(ns.Labels, labels.Set{"kubernetes.io/metadata.name": namespace}))
}

// sparesItself reports whether a webhook's objectSelector leaves out the pods
// that answer it.
func (w webhook) sparesItself(s *cluster.Snapshot) bool {
	if w.objects == nil || isEmpty(w.objects) {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(w.objects)
	service := s.Service(w.service.Namespace, w.service.Name)
	if err != nil || service == nil || len(service.Spec.Selector) == 0 {
		return true // who answers cannot be told
	}
	for _, backend := range s.Selected(w.service.Namespace, &metav1.LabelSelector{MatchLabels: service.Spec.Selector}) {
		if selector.Matches(labels.Set(backend.Template.Labels)) {
			return false
		}
	}
	return true
}
