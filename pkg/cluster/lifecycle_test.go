package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestDeprecatedVersionsAreKnown(t *testing.T) {
	for name, want := range map[string]string{
		"extensions/v1beta1 Ingress":                            "1.22",
		"apps/v1beta1 Deployment":                               "1.16",
		"policy/v1beta1 PodDisruptionBudget":                    "1.25",
		"policy/v1beta1 PodSecurityPolicy":                      "1.25",
		"batch/v1beta1 CronJob":                                 "1.25",
		"autoscaling/v2beta2 HorizontalPodAutoscaler":           "1.26",
		"flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema":       "1.32",
		"apiextensions.k8s.io/v1beta1 CustomResourceDefinition": "1.22",
		"apps/v1 Deployment":                                    "",
		"example.com/v1beta1 Widget":                            "",
	} {
		t.Run(name, func(t *testing.T) {
			gvk := schema.FromAPIVersionAndKind(cut(name))
			l, deprecated := LifecycleOf(gvk)
			if l.Removed != want || deprecated != (want != "") {
				t.Errorf("%+v, %t; want removed in %q", l, deprecated, want)
			}
		})
	}
}

func cut(name string) (apiVersion, kind string) {
	for i := range name {
		if name[i] == ' ' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}
