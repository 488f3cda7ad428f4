package catalogue

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// dice draws what a random world is made of.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0))} }

// in reports whether one of n throws hits.
func (d dice) in(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

type object = map[string]any

// world is a namespace with a few workloads, as people write them, and what a
// cluster would make of them: pods with a status, samples of their use, nodes.
type world struct {
	dice
	t       *testing.T
	objects []*unstructured.Unstructured
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{dice: newDice(seed), t: t}
	namespace := object{"name": "shop"}
	if w.in(3) {
		namespace["labels"] = object{"pod-security.kubernetes.io/enforce": pick(w.dice, "privileged", "baseline")}
	}
	w.add("v1", "Namespace", namespace, nil)
	zones := pick(w.dice, 1, 3)
	for i := range 3 {
		w.add("v1", "Node", object{"name": fmt.Sprintf("n%d", i), "labels": object{
			"kubernetes.io/hostname": fmt.Sprintf("n%d", i), "topology.kubernetes.io/zone": fmt.Sprintf("z%d", i%zones),
		}}, object{"status": object{
			"allocatable": object{"cpu": "64", "memory": "256Gi", "pods": "110"}, // room for honest requests: without it pods find no node, and harden rolls back
			"conditions":  []any{object{"type": "Ready", "status": "True"}},
			"nodeInfo":    object{"kubeletVersion": "v1.37.2"},
		}})
	}
	w.add("v1", "ServiceAccount", object{"name": "default", "namespace": "shop"}, nil)
	w.add("v1", "ServiceAccount", object{"name": "own", "namespace": "shop"}, nil)
	if w.in(3) {
		w.add("rbac.authorization.k8s.io/v1", "RoleBinding", object{"name": "view", "namespace": "shop"}, object{
			"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
			"subjects": []any{object{"kind": "ServiceAccount", "name": pick(w.dice, "default", "own"), "namespace": "shop"}},
		})
	}
	for i := range 1 + w.IntN(2) {
		w.workload(fmt.Sprintf("%s%d", pick(w.dice, "web", "db", "job"), i))
	}
	return w
}

// add keeps an object; fields are those beside its metadata.
func (w *world) add(apiVersion, kind string, metadata, fields object) *unstructured.Unstructured {
	all := object{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	maps.Copy(all, fields)
	obj := &unstructured.Unstructured{Object: all}
	data, err := obj.MarshalJSON() // every list and number as JSON has them
	if err != nil {
		w.t.Fatal(err)
	}
	if err := obj.UnmarshalJSON(data); err != nil {
		w.t.Fatal(err)
	}
	obj.SetResourceVersion("1")
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", len(w.objects))))
	}
	w.objects = append(w.objects, obj)
	return obj
}

func (w *world) workload(name string) {
	kind := pick(w.dice, "Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob")
	labels := object{"app": name}
	template := object{"metadata": object{"labels": labels}, "spec": w.pod(name)}
	spec := object{"selector": object{"matchLabels": labels}, "template": template}
	replicas := 1
	apiVersion := "apps/v1"
	switch kind {
	case "Deployment", "StatefulSet":
		if !w.in(4) {
			replicas = 1 + w.IntN(4)
			spec["replicas"] = replicas
		}
		if kind == "StatefulSet" {
			spec["serviceName"] = name
		} else if w.in(5) {
			spec["strategy"] = object{"type": "Recreate"}
		}
	case "DaemonSet":
		replicas = 3
	case "CronJob":
		apiVersion = "batch/v1"
		template["spec"].(object)["restartPolicy"] = "Never"
		spec = object{"schedule": "0 3 * * *", "jobTemplate": object{"spec": object{"template": template}}}
	}
	metadata := object{"name": name, "namespace": "shop", "uid": "uid-" + name, "labels": labels}
	w.add(apiVersion, kind, metadata, object{"spec": spec})
	if kind == "CronJob" {
		return
	}
	w.around(name, kind, replicas)
	w.pods(name, kind, replicas, template)
}

// pod is a pod's spec.
func (w *world) pod(name string) object {
	spec := object{}
	containers := []any{w.container(name)}
	if w.in(3) {
		containers = append(containers, w.container("sidecar"))
	}
	spec["containers"] = containers
	if w.in(4) {
		first := w.container("init")
		delete(first, "readinessProbe")
		delete(first, "livenessProbe")
		delete(first, "lifecycle")
		spec["initContainers"] = []any{first}
	}
	if w.in(3) {
		spec["securityContext"] = pick(w.dice, object{}, object{"runAsNonRoot": true}, object{"runAsUser": 1000},
			object{"seccompProfile": object{"type": "RuntimeDefault"}}, object{"seccompProfile": object{"type": "Unconfined"}}, object{"fsGroup": 2000})
	}
	context, _ := spec["securityContext"].(object)
	for _, c := range append(containers, initsOf(spec)...) {
		own, _ := c.(object)["securityContext"].(object)
		if own["runAsUser"] == 0 && own["runAsNonRoot"] != false && (own["runAsNonRoot"] == true || context["runAsNonRoot"] == true) {
			own["runAsUser"] = 1000 // the kubelet would not start it
		}
	}
	if w.in(3) {
		spec["serviceAccountName"] = "own"
	}
	if w.in(4) {
		spec["automountServiceAccountToken"] = w.in(2)
	}
	if w.in(3) {
		spec["terminationGracePeriodSeconds"] = pick(w.dice, 0, 5, 30, 45)
	}
	if w.in(5) {
		spec["nodeSelector"] = object{pick(w.dice, "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"): "z0"}
	}
	if w.in(4) {
		spec["topologySpreadConstraints"] = []any{object{
			"maxSkew": 1, "topologyKey": pick(w.dice, "topology.kubernetes.io/zone", "kubernetes.io/hostname", "failure-domain.beta.kubernetes.io/zone"),
			"whenUnsatisfiable": "ScheduleAnyway", "labelSelector": object{"matchLabels": object{"app": name}},
		}}
	}
	if w.in(5) {
		spec["volumes"] = []any{object{"name": "tmp", "emptyDir": object{}}}
	}
	return spec
}

func initsOf(spec object) []any {
	all, _ := spec["initContainers"].([]any)
	return all
}

func (w *world) container(name string) object {
	c := object{"name": name, "image": "shop/" + name + ":" + pick(w.dice, "1.2", "2.0@sha256:4d6e8b1f2a3c5d7e9f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60")}
	resources := object{}
	if !w.in(3) {
		requests := object{}
		if !w.in(3) {
			requests["cpu"] = pick(w.dice, "10m", "100m", "1", "3")
		}
		if !w.in(3) {
			requests["memory"] = pick(w.dice, "32Mi", "64Mi", "1Gi")
		}
		resources["requests"] = requests
	}
	if w.in(2) {
		resources["limits"] = object{"memory": pick(w.dice, "1Gi", "2Gi")}
	}
	if len(resources) > 0 {
		c["resources"] = resources
	}
	if w.in(2) {
		c["ports"] = []any{object{"name": "http", "containerPort": 8080}}
		if !w.in(3) {
			c["readinessProbe"] = object{"httpGet": object{"path": "/ready", "port": "http"}}
		}
	}
	if w.in(4) {
		c["lifecycle"] = object{"preStop": pick(w.dice, object{"sleep": object{"seconds": 20}}, object{"exec": object{"command": []any{"sleep", "15"}}})}
	}
	if w.in(2) {
		context := object{}
		for _, set := range []struct {
			field string
			value any
		}{
			{"allowPrivilegeEscalation", w.in(2)}, {"runAsNonRoot", w.in(2)}, {"runAsUser", pick(w.dice, 0, 1000)}, {"readOnlyRootFilesystem", w.in(2)},
			{"capabilities", pick(w.dice, object{"drop": []any{"NET_RAW"}}, object{"add": []any{"CHOWN"}}, object{"drop": []any{"ALL"}}, object{})},
			{"seccompProfile", object{"type": "RuntimeDefault"}},
		} {
			if w.in(3) {
				context[set.field] = set.value
			}
		}
		c["securityContext"] = context
	}
	if w.in(5) {
		c["env"] = []any{object{"name": "JAVA_OPTS", "value": "-Xmx256m"}}
	}
	return c
}

// around are the objects that belong to a workload.
func (w *world) around(name, kind string, replicas int) {
	metadata := func() object { return object{"name": name, "namespace": "shop"} }
	selector := object{"matchLabels": object{"app": name}}
	target := object{"apiVersion": "apps/v1", "kind": kind, "name": name}
	if !w.in(3) {
		w.add("v1", "Service", metadata(), object{"spec": object{
			"type": pick(w.dice, "ClusterIP", "ClusterIP", "LoadBalancer"), "selector": object{"app": name},
			"ports": []any{object{"port": 80, "targetPort": pick(w.dice, any("http"), any(8080))}},
		}})
	}
	if kind != "DaemonSet" && w.in(3) {
		w.add("autoscaling/v2", "HorizontalPodAutoscaler", metadata(), object{"spec": object{
			"scaleTargetRef": target, "minReplicas": 1 + w.IntN(2), "maxReplicas": 6,
			"metrics": []any{object{"type": "Resource", "resource": object{"name": pick(w.dice, "cpu", "memory"), "target": object{"type": "Utilization", "averageUtilization": 70}}}},
		}})
	}
	if w.in(3) {
		budget := object{"selector": selector, "maxUnavailable": 1}
		if w.in(2) {
			budget["unhealthyPodEvictionPolicy"] = "IfHealthyBudget"
		}
		w.add("policy/v1", "PodDisruptionBudget", metadata(), object{"spec": budget, "status": object{
			"expectedPods": replicas, "currentHealthy": replicas, "desiredHealthy": replicas - 1, "disruptionsAllowed": 1,
		}})
	}
}

// pods are a workload's pods, running, with a user that the runtime reports and
// with samples of their use.
func (w *world) pods(name, kind string, replicas int, template object) {
	owner := object{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "uid-" + name, "controller": true}
	if kind == "Deployment" {
		w.add("apps/v1", "ReplicaSet", object{"name": name + "-6d4b75cb6d", "namespace": "shop", "uid": "rs-" + name, "ownerReferences": []any{owner}}, nil)
		owner = object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name + "-6d4b75cb6d", "uid": "rs-" + name, "controller": true}
	}
	user := pick(w.dice, -1, 0, 1000)
	use := pick(w.dice, object{"cpu": "20m", "memory": "40Mi"}, object{"cpu": "900m", "memory": "700Mi"})
	for i := range replicas {
		pod := fmt.Sprintf("%s-6d4b75cb6d-x%dk2v", name, i)
		if kind == "StatefulSet" {
			pod = fmt.Sprintf("%s-%d", name, i)
		}
		spec := object{"nodeName": fmt.Sprintf("n%d", i%3)}
		maps.Copy(spec, template["spec"].(object))
		var statuses, samples []any
		for _, c := range spec["containers"].([]any) {
			container := c.(object)
			status := object{"name": container["name"], "ready": true, "state": object{"running": object{}}}
			if uid := runs(container, spec, user); uid >= 0 {
				status["user"] = object{"linux": object{"uid": uid, "gid": uid}}
			}
			statuses = append(statuses, status)
			samples = append(samples, object{"name": container["name"], "usage": use})
		}
		w.add("v1", "Pod", object{"name": pod, "namespace": "shop", "labels": object{"app": name}, "ownerReferences": []any{owner}}, object{
			"spec": spec, "status": object{
				"phase": "Running", "startTime": "2026-01-15T09:00:00Z", "qosClass": "Burstable", "containerStatuses": statuses,
				"conditions": []any{object{"type": "Ready", "status": "True"}},
			},
		})
		w.add("metrics.k8s.io/v1beta1", "PodMetrics", object{"name": pod, "namespace": "shop"}, object{"containers": samples})
	}
}

// runs is the user that a container runs as, where its image's is user; -1 is
// not known.
func runs(container, pod object, user int) int {
	for _, holder := range []object{container, pod} {
		if context, ok := holder["securityContext"].(object); ok {
			if set, ok := context["runAsUser"].(int); ok {
				return set
			}
			if context["runAsNonRoot"] == true && user == 0 {
				return 1000 // it would not run otherwise
			}
		}
	}
	return user
}
