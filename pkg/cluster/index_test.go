package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// dump reads YAML as a dump of a whole cluster.
func dump(t *testing.T, yaml string) *Snapshot {
	t.Helper()
	s, errs := Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(yaml), Namespace: "default", Time: time.Now(), AsLive: true}.Load(t.Context())
	for _, err := range errs {
		t.Fatal(err)
	}
	return s
}

// owners are the Workloads' owners with the number of their pods.
func owners(s *Snapshot) []string {
	var all []string
	for _, w := range s.Workloads() {
		all = append(all, w.Owner.String()+"="+strings.Repeat("p", len(w.Pods)))
	}
	slices.Sort(all)
	return all
}

const podOf = `
---
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  namespace: shop
  labels: {pod-template-hash: 5f}
  ownerReferences: [{apiVersion: VERSION, kind: KIND, name: OWNER, uid: UID, controller: true}]
spec: {containers: [{name: app, image: a}]}`

func pod(name, version, kind, owner, uid string) string {
	return strings.NewReplacer("NAME", name, "VERSION", version, "KIND", kind, "OWNER", owner, "UID", uid).Replace(podOf)
}

const (
	rollout = `
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop, uid: ro}
spec: {replicas: 2, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: a}]}}}`
	appOwner = "ownerReferences: [{apiVersion: core.oam.dev/v1beta1, kind: Application, name: app, uid: ap, controller: true}]"
	knative  = `
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, namespace: shop, uid: ks}
spec: {template: {spec: {containers: [{image: a}]}}}
---
apiVersion: serving.knative.dev/v1
kind: Configuration
metadata: {name: hello, namespace: shop, uid: kc, ownerReferences: [{apiVersion: serving.knative.dev/v1, kind: Service, name: hello, uid: ks, controller: true}]}
spec: {template: {spec: {containers: [{image: a}]}}}
---
apiVersion: serving.knative.dev/v1
kind: Revision
metadata: {name: hello-1, namespace: shop, uid: kr, ownerReferences: [{apiVersion: serving.knative.dev/v1, kind: Configuration, name: hello, uid: kc, controller: true}]}
spec: {containers: [{image: a}]}`
)

func TestPodsBelongToTheOwnerAPersonWouldEdit(t *testing.T) {
	const deployment = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: a}]}}}`
	const replicaSet = `
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-5f
  namespace: shop
  uid: r
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]`
	for name, test := range map[string]struct {
		yaml string
		want []string
	}{
		"a Deployment, through its ReplicaSet": {
			deployment + replicaSet + pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r") + pod("web-5f-b", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"deployment.apps/web=pp"},
		},
		"a Deployment, by name, where ReplicaSets could not be read": {
			deployment + pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"deployment.apps/web=p"},
		},
		"a Deployment that could not be read itself": {
			pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r") + pod("web-5f-b", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"deployment.apps/web=pp"},
		},
		"a CronJob, through its run": {
			`
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop, uid: c}
spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: {containers: [{name: app, image: a}]}}}}}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: nightly-1
  namespace: shop
  uid: j
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: nightly, uid: c, controller: true}]
spec: {template: {spec: {containers: [{name: app, image: a}]}}}` + pod("nightly-1-x", "batch/v1", "Job", "nightly-1", "j"),
			[]string{"cronjob.batch/nightly=p"},
		},
		"a custom resource that owns pods": {
			pod("db-1", "postgresql.cnpg.io/v1", "Cluster", "db", "x") + pod("db-2", "postgresql.cnpg.io/v1", "Cluster", "db", "x"),
			[]string{"cluster.postgresql.cnpg.io/db=pp"},
		},
		"a custom resource that owns a ReplicaSet": {
			strings.Replace(replicaSet, "apps/v1, kind: Deployment", "argoproj.io/v1alpha1, kind: Rollout", 1) +
				pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"rollout.argoproj.io/web=p"},
		},
		"the pod itself, when nobody owns it or a node mirrors it": {
			pod("etcd-a", "v1", "Node", "a", "node1") + "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: bare, namespace: shop}\nspec: {containers: [{name: app, image: a}]}",
			[]string{"pod/bare=p", "pod/etcd-a=p"},
		},
		"a custom resource above a Deployment": {
			strings.Replace(deployment, "uid: d}", "uid: d, ownerReferences: [{apiVersion: opentelemetry.io/v1beta1, kind: OpenTelemetryCollector, name: otel, uid: o, controller: true}]}", 1) +
				pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"opentelemetrycollector.opentelemetry.io/otel=p"},
		},
		"a Rollout by its own template, with the pods of its ReplicaSets": {
			rollout + strings.Replace(replicaSet, "apps/v1, kind: Deployment, name: web, uid: d", "argoproj.io/v1alpha1, kind: Rollout, name: web, uid: ro", 1) +
				pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"rollout.argoproj.io/web=p"},
		},
		"a custom resource whose Deployment has the template again, once": {
			rollout + strings.Replace(deployment, "uid: d}", "uid: d, ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: ro, controller: true}]}", 1) +
				replicaSet + pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"rollout.argoproj.io/web=p"},
		},
		"a Knative Service above Configuration, Revision and Deployment": {
			knative + strings.Replace(deployment, "uid: d}", "uid: d, ownerReferences: [{apiVersion: serving.knative.dev/v1, kind: Revision, name: hello-1, uid: kr, controller: true}]}", 1) +
				replicaSet + pod("web-5f-a", "apps/v1", "ReplicaSet", "web-5f", "r"),
			[]string{"service.serving.knative.dev/hello=p"},
		},
		"a Knative Service whose Deployment is not there yet": {
			knative, []string{"service.serving.knative.dev/hello="},
		},
		"a custom resource above another that owns the pods": {
			knative + pod("hello-1-a", "serving.knative.dev/v1", "Revision", "hello-1", "kr"),
			[]string{"service.serving.knative.dev/hello=p"},
		},
		"two custom resources below one that holds no template": {
			strings.Replace(rollout, "uid: ro", appOwner+", uid: ro", 1) + strings.ReplaceAll(strings.Replace(rollout, "uid: ro", appOwner+", uid: ro2", 1), "web", "api"),
			[]string{"application.core.oam.dev/app=", "application.core.oam.dev/app="},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := owners(dump(t, test.yaml)); !slices.Equal(got, test.want) {
				t.Errorf("workloads are %v, want %v", got, test.want)
			}
		})
	}
}

func TestSelectorsAndTheirTerms(t *testing.T) {
	const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {}, template: {metadata: {labels: {app: web, tier: front}}, spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {selector: {}, template: {metadata: {labels: {app: api, tier: front}}, spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: other}
spec: {selector: {}, template: {metadata: {labels: {app: web, tier: front}}, spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget, namespace: shop}
spec: {selector: SELECTOR}`
	for name, test := range map[string]struct {
		selector string
		want     []string
	}{
		"all labels must match":                   {"{matchLabels: {app: web, tier: back}}", nil},
		"labels and expressions must both match":  {"{matchLabels: {tier: front}, matchExpressions: [{key: app, operator: In, values: [api]}]}", []string{"shop/api"}},
		"all expressions must match":              {"{matchExpressions: [{key: app, operator: Exists}, {key: app, operator: NotIn, values: [web]}]}", []string{"shop/api"}},
		"an empty selector selects its namespace": {"{}", []string{"shop/api", "shop/web"}},
		"no selector selects nothing":             {"null", nil},
		"what does not parse selects nothing":     {"{matchExpressions: [{key: app, operator: Sounds, values: [web]}]}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			// A selector that does not parse is told, by the test of manifests.
			s, _ := Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(strings.Replace(shop, "SELECTOR", test.selector, 1)), AsLive: true, Time: time.Now()}.Load(t.Context())
			for _, w := range s.Workloads() {
				if len(w.Budgets) > 0 {
					got = append(got, w.Owner.Namespace+"/"+w.Owner.Name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("the budget covers %v, want %v", got, test.want)
			}
		})
	}
}
