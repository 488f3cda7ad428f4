package ecosystem

import (
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// KnativeServiceNotReady finds Knative Services that serve nobody.
//
// https://knative.dev/docs/serving/services/
func KnativeServiceNotReady() practice.Practice {
	return practice.Practice{
		ID:       "knative-service-not-ready",
		Title:    "Knative Service that is not ready",
		Chapter:  practice.Ecosystem,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A Knative Service that is not ready serves nobody, or still the revision before: what was deployed last never took over.",
		Judged:   "The condition Ready of each Knative Service, with Knative's own reason. Where an older revision still has traffic it is a warning.",
		Fix:      "kubectl describe ksvc; the revision's condition and its pods say what failed",
		Sources:  []string{"https://knative.dev/docs/serving/services/", "https://knative.dev/docs/serving/troubleshooting/debugging-application-issues/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.KnativeServices},
		Check: eachKnative(func(service *unstructured.Unstructured, ref cluster.Ref) []practice.Finding {
			ready, told := cluster.ConditionOf(service.Object, "Ready")
			if !told || ready.Status == "True" {
				return nil
			}
			finding := practice.On(ref, "status.conditions", "not ready (%s): %s", orUnknown(ready.Reason), orUnknown(ready.Message))
			if latest, created := text(service, "status", "latestReadyRevisionName"), text(service, "status", "latestCreatedRevisionName"); latest != "" && latest != created {
				finding.Message += "; revision " + latest + " still serves in place of " + created
				finding = finding.As(report.Warning)
			}
			return []practice.Finding{finding.Mended("kubectl describe ksvc %s -n %s", ref.Name, ref.Namespace)}
		}),
	}
}

// KnativeConcurrencyUnset finds functions that take every request at once.
//
// https://knative.dev/docs/serving/autoscaling/concurrency/
func KnativeConcurrencyUnset() practice.Practice {
	return practice.Practice{
		ID:       "knative-concurrency-unset",
		Title:    "Knative Service without a limit on concurrency",
		Chapter:  practice.Ecosystem,
		Severity: report.Info,
		Reason:   "Without a limit a pod is sent every request there is while new ones start. One that can do five at a time answers none of fifty, and is killed for its memory.",
		Judged: "containerConcurrency of each Knative Service: unset or 0, which is unlimited. The autoscaler's target (autoscaling.knative.dev/target) is what it scales by, and no limit. " +
			"A limit that an operator sets for all (container-concurrency in config-defaults) is not seen.",
		Fix:     "set spec.template.spec.containerConcurrency to what one pod can do at a time",
		Sources: []string{"https://knative.dev/docs/serving/autoscaling/concurrency/"},
		Needs:   []cluster.Kind{cluster.KnativeServices},
		Check: eachKnative(func(service *unstructured.Unstructured, ref cluster.Ref) []practice.Finding {
			if limit, _, _ := unstructured.NestedInt64(service.Object, "spec", "template", "spec", "containerConcurrency"); limit > 0 {
				return nil
			}
			return []practice.Finding{practice.On(ref, "spec.template.spec.containerConcurrency", "a pod is sent any number of requests at a time")}
		}),
	}
}

// KnativeMinScaleZero finds functions whose first caller waits.
//
// https://knative.dev/docs/serving/autoscaling/scale-bounds/
func KnativeMinScaleZero() practice.Practice {
	return practice.Practice{
		ID:       "knative-min-scale-zero",
		Title:    "Knative Service that starts on its first request",
		Chapter:  practice.Ecosystem,
		Severity: report.Info,
		Reason:   "At a scale of zero the first request waits until an image is pulled, a pod is scheduled and the program is up. With one pod at the least, a node's drain is such a moment.",
		Judged: "autoscaling.knative.dev/min-scale of each Knative Service's template: unset or 0. Off unless asked for: for what is called twice a day, zero is right. " +
			"A minimum that an operator sets for all (min-scale in config-autoscaler) is not seen.",
		Fix:      "annotate spec.template.metadata with autoscaling.knative.dev/min-scale: \"2\", where somebody waits for the answer",
		Sources:  []string{"https://knative.dev/docs/serving/autoscaling/scale-bounds/"},
		Optional: true,
		Needs:    []cluster.Kind{cluster.KnativeServices},
		Check: eachKnative(func(service *unstructured.Unstructured, ref cluster.Ref) []practice.Finding {
			annotations, _, _ := unstructured.NestedStringMap(service.Object, "spec", "template", "metadata", "annotations")
			for _, key := range []string{"autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale"} {
				if n, err := strconv.Atoi(annotations[key]); err == nil && n > 0 {
					return nil
				}
			}
			return []practice.Finding{practice.On(ref, "spec.template.metadata.annotations", "goes to zero pods when nobody calls it, and the next caller waits for a start")}
		}),
	}
}

// eachKnative judges every Knative Service by itself.
func eachKnative(judge func(*unstructured.Unstructured, cluster.Ref) []practice.Finding) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		var v practice.Verdict
		for _, service := range s.KnativeServices {
			ref := cluster.RefTo(service)
			v.Judged = append(v.Judged, ref)
			v.Findings = append(v.Findings, judge(service, ref)...)
		}
		return v
	}
}

func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

func orUnknown(text string) string {
	if text == "" {
		return "no reason given"
	}
	return text
}
