// Package schedule makes backups happen without anybody: a CronJob that runs
// this plugin, with no more rights than that takes.
package schedule

import (
	"fmt"
	"regexp"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
)

// Schedule is what to run when.
type Schedule struct {
	Name, Namespace string
	Cron, TimeZone  string
	// Image is this plugin's, Args its arguments after "backup-etcd".
	Image string
	Args  []string
	// Secret holds the store's credentials, as the environment variables that its
	// tools know.
	Secret string
	// Scratch is the room for the snapshot and its restore drill.
	Scratch string
}

// Validate is an error when it would never run.
func (s Schedule) Validate() error {
	fields := strings.Fields(s.Cron)
	field := regexp.MustCompile(`^[\d*/,A-Za-z?-]+$`)
	named := strings.HasPrefix(s.Cron, "@") && len(fields) == 1
	if !named && len(fields) != 5 {
		return fmt.Errorf("--cron %q has %d fields, and takes five: minute, hour, day, month, weekday", s.Cron, len(fields))
	}
	for _, f := range fields {
		if !named && !field.MatchString(f) {
			return fmt.Errorf("--cron %q: %q is no field of a schedule", s.Cron, f)
		}
	}
	if _, err := resource.ParseQuantity(s.Scratch); err != nil {
		return fmt.Errorf("--scratch-size %q: %w", s.Scratch, err)
	}
	return nil
}

// Objects are what the cluster needs, in the order in which to make them.
func (s Schedule) Objects() []runtime.Object {
	return []runtime.Object{s.account(), s.role(), s.roleBinding(), s.clusterRole(), s.clusterRoleBinding(), s.cronJob()}
}

// Roles are what a backup by a helper pod must be allowed to do, for whoever runs
// it without a schedule.
func Roles(name string) []runtime.Object {
	s := Schedule{Name: name}
	return []runtime.Object{s.role(), s.clusterRole()}
}

func (s Schedule) meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: s.Name, Namespace: namespace, Labels: map[string]string{
		"app.kubernetes.io/name": s.Name, "app.kubernetes.io/managed-by": "kubectl-prod",
	}}
}

func (s Schedule) account() *corev1.ServiceAccount {
	no := false
	return &corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: s.meta(s.Namespace), AutomountServiceAccountToken: &no,
	}
}

// role is for the helper pods, where etcd's own are, and for the record.
func (s Schedule) role() *rbacv1.Role {
	return &rbacv1.Role{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: s.meta(record.Namespace),
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "delete", "get", "list", "patch"}},
			{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
			{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create", "get"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{record.Name}, Verbs: []string{"patch"}},
		},
	}
}

func (s Schedule) subjects() []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: "ServiceAccount", Name: s.Name, Namespace: s.Namespace}}
}

func (s Schedule) roleBinding() *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: s.meta(record.Namespace),
		RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: s.Name}, Subjects: s.subjects(),
	}
}

// clusterRole finds etcd. It does not list every resource to count its objects:
// that would be the right to read every Secret; the hash of all keys proves more.
func (s Schedule) clusterRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: s.meta(""),
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces", "nodes", "pods"}, Verbs: []string{"list"}},
			{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}},
		},
	}
}

func (s Schedule) clusterRoleBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: s.meta(""),
		RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: s.Name}, Subjects: s.subjects(),
	}
}

func (s Schedule) cronJob() *batchv1.CronJob {
	success, failed, retries, start := int32(3), int32(3), int32(1), int64(3600)
	job := &batchv1.CronJob{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: s.meta(s.Namespace),
		Spec: batchv1.CronJobSpec{
			Schedule: s.Cron, ConcurrencyPolicy: batchv1.ForbidConcurrent, StartingDeadlineSeconds: &start,
			SuccessfulJobsHistoryLimit: &success, FailedJobsHistoryLimit: &failed,
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{BackoffLimit: &retries, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: s.meta("").Labels}, Spec: s.pod(),
			}}},
		},
	}
	if s.TimeZone != "" {
		job.Spec.TimeZone = &s.TimeZone
	}
	return job
}

func (s Schedule) pod() corev1.PodSpec {
	yes, no, user := true, false, int64(65532) // "nonroot" of the distroless images
	limit := resource.MustParse(s.Scratch)
	container := corev1.Container{
		Name: "backup", Image: s.Image, Args: append([]string{"backup-etcd"}, s.Args...),
		Env: []corev1.EnvVar{{Name: "TMPDIR", Value: "/scratch"}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
	}
	if s.Secret != "" {
		container.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.Secret}}}}
	}
	return corev1.PodSpec{
		ServiceAccountName: s.Name, AutomountServiceAccountToken: &yes, RestartPolicy: corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{container},
		Volumes:    []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}}},
	}
}
