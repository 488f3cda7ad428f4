package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedappsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	typedautoscalingv2 "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	typedbatchv1 "k8s.io/client-go/kubernetes/typed/batch/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	typednetworkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"
	typedpolicyv1 "k8s.io/client-go/kubernetes/typed/policy/v1"
	typedrbacv1 "k8s.io/client-go/kubernetes/typed/rbac/v1"
)

// creator is what every typed client has.
type creator[T any] interface {
	Create(ctx context.Context, object T, options metav1.CreateOptions) (T, error)
}

func creating[T any, C creator[T]](object T, client func(kubernetes.Interface) C) create {
	return func(ctx context.Context, k kubernetes.Interface) error {
		_, err := client(k).Create(ctx, object, metav1.CreateOptions{})
		return err
	}
}

func createNamespace(o *corev1.Namespace) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.NamespaceInterface { return k.CoreV1().Namespaces() })
}

func createConfigMap(o *corev1.ConfigMap) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.ConfigMapInterface { return k.CoreV1().ConfigMaps(o.Namespace) })
}

func createSecret(o *corev1.Secret) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.SecretInterface { return k.CoreV1().Secrets(o.Namespace) })
}

func createService(o *corev1.Service) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.ServiceInterface { return k.CoreV1().Services(o.Namespace) })
}

func createQuota(o *corev1.ResourceQuota) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.ResourceQuotaInterface {
		return k.CoreV1().ResourceQuotas(o.Namespace)
	})
}

func createLimitRange(o *corev1.LimitRange) create {
	return creating(o, func(k kubernetes.Interface) typedcorev1.LimitRangeInterface {
		return k.CoreV1().LimitRanges(o.Namespace)
	})
}

func createRole(o *rbacv1.Role) create {
	return creating(o, func(k kubernetes.Interface) typedrbacv1.RoleInterface { return k.RbacV1().Roles(o.Namespace) })
}

func createRoleBinding(o *rbacv1.RoleBinding) create {
	return creating(o, func(k kubernetes.Interface) typedrbacv1.RoleBindingInterface {
		return k.RbacV1().RoleBindings(o.Namespace)
	})
}

func createNetworkPolicy(o *networkingv1.NetworkPolicy) create {
	return creating(o, func(k kubernetes.Interface) typednetworkingv1.NetworkPolicyInterface {
		return k.NetworkingV1().NetworkPolicies(o.Namespace)
	})
}

func createIngress(o *networkingv1.Ingress) create {
	return creating(o, func(k kubernetes.Interface) typednetworkingv1.IngressInterface {
		return k.NetworkingV1().Ingresses(o.Namespace)
	})
}

func createBudget(o *policyv1.PodDisruptionBudget) create {
	return creating(o, func(k kubernetes.Interface) typedpolicyv1.PodDisruptionBudgetInterface {
		return k.PolicyV1().PodDisruptionBudgets(o.Namespace)
	})
}

func createAutoscaler(o *autoscalingv2.HorizontalPodAutoscaler) create {
	return creating(o, func(k kubernetes.Interface) typedautoscalingv2.HorizontalPodAutoscalerInterface {
		return k.AutoscalingV2().HorizontalPodAutoscalers(o.Namespace)
	})
}

func createDeployment(o *appsv1.Deployment) create {
	return creating(o, func(k kubernetes.Interface) typedappsv1.DeploymentInterface {
		return k.AppsV1().Deployments(o.Namespace)
	})
}

func createStatefulSet(o *appsv1.StatefulSet) create {
	return creating(o, func(k kubernetes.Interface) typedappsv1.StatefulSetInterface {
		return k.AppsV1().StatefulSets(o.Namespace)
	})
}

func createDaemonSet(o *appsv1.DaemonSet) create {
	return creating(o, func(k kubernetes.Interface) typedappsv1.DaemonSetInterface { return k.AppsV1().DaemonSets(o.Namespace) })
}

func createCronJob(o *batchv1.CronJob) create {
	return creating(o, func(k kubernetes.Interface) typedbatchv1.CronJobInterface { return k.BatchV1().CronJobs(o.Namespace) })
}

func createJob(o *batchv1.Job) create {
	return creating(o, func(k kubernetes.Interface) typedbatchv1.JobInterface { return k.BatchV1().Jobs(o.Namespace) })
}

func createServiceAccount(namespace, name string) create {
	o := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return creating(o, func(k kubernetes.Interface) typedcorev1.ServiceAccountInterface {
		return k.CoreV1().ServiceAccounts(namespace)
	})
}
