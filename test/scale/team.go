package main

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// team is a namespace. Every tenth lacks governance (no quota, no limits, no
// policy, no Pod Security label) and lets its certificate run out.
type team struct {
	ordinal int
	name    string
}

func (t team) careless() bool { return t.ordinal%10 == 7 }

func (t team) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: t.name, Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": t.name}}
}

func (t team) namespace() *corev1.Namespace {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.name, Labels: map[string]string{"team": t.name}}}
	if !t.careless() {
		// Privileged, since the API server would refuse the apps at fault.
		namespace.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
	}
	return namespace
}

// ground are the objects that a team's workloads need or are governed by.
func (t team) ground(certificates certificates) []create {
	all := []create{
		createServiceAccount(t.name, "database"),
		createServiceAccount(t.name, "report"),
		createSecret(&corev1.Secret{ObjectMeta: t.meta("database"), StringData: map[string]string{"password": "simulated"}}),
		createSecret(certificates.secret(t)),
		createRole(&rbacv1.Role{ObjectMeta: t.meta("reader"), Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"get", "list", "watch"},
		}}}),
		createRoleBinding(&rbacv1.RoleBinding{
			ObjectMeta: t.meta("reader"),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: t.name, Name: "report"}},
		}),
	}
	all = append(all, t.volumes()...)
	if t.careless() {
		return all
	}
	return append(all,
		createQuota(&corev1.ResourceQuota{ObjectMeta: t.meta("quota"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: resource.MustParse("200"), corev1.ResourceRequestsCPU: resource.MustParse("40"),
		}}}),
		createLimitRange(&corev1.LimitRange{ObjectMeta: t.meta("defaults"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type:           corev1.LimitTypeContainer,
			DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		}}}}),
		createNetworkPolicy(&networkingv1.NetworkPolicy{ObjectMeta: t.meta("default-deny"), Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		}}),
	)
}

// database is the team's StatefulSet, with the jobs that use it.
func (t team) database() []create {
	labels := map[string]string{"app.kubernetes.io/name": "database", "app.kubernetes.io/part-of": t.name}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "database"}}
	spec := basePodSpec("database")
	container := baseContainer("postgres", "registry.example.com/platform/postgres:17.2", "100m", "512Mi")
	container.Ports = []corev1.ContainerPort{{Name: "postgres", ContainerPort: 5432}}
	container.ReadinessProbe = httpProbe("/ready", "postgres")
	container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/postgresql"}}
	spec.Containers = []corev1.Container{container}
	return []create{
		createService(&corev1.Service{ObjectMeta: t.meta("database"), Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: selector.MatchLabels,
			Ports: []corev1.ServicePort{{Name: "postgres", Port: 5432, TargetPort: intstr.FromString("postgres")}},
		}}),
		createBudget(&policyv1.PodDisruptionBudget{ObjectMeta: t.meta("database"), Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: selector, MaxUnavailable: new(intstr.FromInt32(1)),
		}}),
		createStatefulSet(&appsv1.StatefulSet{ObjectMeta: t.meta("database"), Spec: appsv1.StatefulSetSpec{
			ServiceName: "database", Replicas: new(int32(databaseReplicas)), Selector: selector,
			PodManagementPolicy: appsv1.ParallelPodManagement, VolumeClaimTemplates: claims(),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		}}),
		createCronJob(&batchv1.CronJob{ObjectMeta: t.meta("report"), Spec: batchv1.CronJobSpec{
			Schedule: "0 3 * * *", Suspend: new(true), // a fleet keeps its size overnight too
			JobTemplate: batchv1.JobTemplateSpec{Spec: t.report()},
		}}),
		createJob(&batchv1.Job{ObjectMeta: t.meta("migrate"), Spec: t.report()}),
	}
}

func (t team) report() batchv1.JobSpec {
	spec := basePodSpec("report")
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.Containers = []corev1.Container{baseContainer("report", "registry.example.com/"+t.name+"/report:2.4.0", "50m", "128Mi")}
	return batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}
}
