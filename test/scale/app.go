package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// fault is what is wrong with an app.
type fault int

const (
	sound fault = iota
	noMemoryLimit
	noProbes
	latestImage
	privileged
	noBudget
	faults // how many there are, sound included
)

// app is a Deployment behind a Service, with what a careful team puts around
// one. Every tenth app has a fault, each fault in turn.
type app struct {
	team     team
	ordinal  int // over the whole fleet
	name     string
	replicas int32
	fault    fault
}

func newApp(t team, n int, replicas int32) app {
	ordinal := t.ordinal*len(appReplicas()) + n
	a := app{team: t, ordinal: ordinal, name: fmt.Sprintf("app-%02d", n), replicas: replicas}
	if ordinal%10 == 7 {
		a.fault = 1 + fault(ordinal/10)%(faults-1)
	}
	return a
}

func (a app) labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":       a.name,
		"app.kubernetes.io/part-of":    a.team.name,
		"app.kubernetes.io/version":    a.version(),
		"app.kubernetes.io/managed-by": "fleet",
	}
}

func (a app) selector() map[string]string {
	return map[string]string{"app.kubernetes.io/name": a.name}
}

func (a app) version() string { return fmt.Sprintf("1.%d.%d", a.ordinal%30, a.ordinal%7) }

func (a app) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.team.name, Name: a.name, Labels: a.labels()}
}

// ground are the objects that the app's pods need or are governed by.
func (a app) ground() []create {
	all := []create{
		createServiceAccount(a.team.name, a.name),
		createConfigMap(&corev1.ConfigMap{ObjectMeta: a.meta(), Data: map[string]string{"application.yaml": settingsText(a.name)}}),
		createService(a.service()),
		createNetworkPolicy(a.allow()),
	}
	if a.replicas > 1 && a.fault != noBudget {
		all = append(all, createBudget(a.budget()))
	}
	if a.ordinal%3 == 0 {
		all = append(all, createIngress(a.ingress()))
	}
	return all
}

func (a app) workload() []create {
	all := []create{createDeployment(a.deployment())}
	if !a.team.careless() {
		all = append(all, a.monitor())
	}
	if a.replicas >= 4 && a.ordinal%2 == 0 {
		all = append(all, createAutoscaler(a.autoscaler()))
	}
	return all
}

func (a app) deployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: a.meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: &a.replicas,
			Selector: &metav1.LabelSelector{MatchLabels: a.selector()},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: a.labels(), Annotations: map[string]string{
					"prometheus.io/scrape": "true",
					"prometheus.io/port":   "9090",
					"checksum/config":      fmt.Sprintf("%064x", a.ordinal),
				}},
				Spec: a.podSpec(),
			},
		},
	}
}

func (a app) service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: a.meta(),
		Spec: corev1.ServiceSpec{
			Selector: a.selector(),
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
}

func (a app) budget() *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: a.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector:                   &metav1.LabelSelector{MatchLabels: a.selector()},
			MaxUnavailable:             new(intstr.FromInt32(1)),
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}

func (a app) allow() *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: a.meta(),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: a.selector()},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromString("http"))}},
			}},
		},
	}
}

func (a app) ingress() *networkingv1.Ingress {
	host := a.name + "." + a.team.name + ".example.com"
	return &networkingv1.Ingress{
		ObjectMeta: a.meta(),
		Spec: networkingv1.IngressSpec{
			TLS: []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: a.team.name + "-tls"}},
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path:     "/",
					PathType: new(networkingv1.PathTypePrefix),
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: a.name, Port: networkingv1.ServiceBackendPort{Name: "http"},
					}},
				}}},
			}}},
		},
	}
}

// autoscaler never scales, so that a fleet keeps its size whatever the
// simulated usage is.
func (a app) autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	never := &autoscalingv2.HPAScalingRules{SelectPolicy: new(autoscalingv2.DisabledPolicySelect)}
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: a.meta(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: a.name},
			MinReplicas:    &a.replicas,
			MaxReplicas:    2 * a.replicas,
			Behavior:       &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: never, ScaleDown: never},
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
			}}},
		},
	}
}
