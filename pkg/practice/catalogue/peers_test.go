package catalogue

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// TestMistakesOfOtherToolsAreNotMade holds the catalogue to cases that tools of
// this kind were reported to get wrong. Each is a cluster, a practice, and the
// objects on which it has a finding.
func TestMistakesOfOtherToolsAreNotMade(t *testing.T) {
	for name, test := range map[string]struct {
		practice string
		yaml     string
		want     []string
	}{
		"a budget's labels and expressions all have to match": {"pdb-missing", deploymentOf("web", 2) + budgetOf("web", "shop", "{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [back]}]}"),
			[]string{"deployment.apps/web"}},
		"a budget of another namespace covers nothing here": {"pdb-missing", deploymentOf("web", 2) + budgetOf("web", "other", "{matchLabels: {app: web}}"),
			[]string{"deployment.apps/web"}},
		"a budget that selects by expressions alone covers": {"pdb-missing", deploymentOf("web", 2) + budgetOf("web", "shop", "{matchExpressions: [{key: app, operator: In, values: [web, api]}]}"), nil},
		"a policy that selects by expressions isolates only what all of them match": {"pod-not-isolated", deploymentOf("web", 1) + deploymentOf("api", 1) + `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {policyTypes: [Ingress, Egress], podSelector: {matchLabels: {tier: front}, matchExpressions: [{key: app, operator: NotIn, values: [api]}]}}`,
			[]string{"deployment.apps/api"}},
		"what only a CronJob reads is used": {"unused-configmap", `
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec: {schedule: "0 3 * * *", suspend: true, jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: a, envFrom: [{configMapRef: {name: settings}}]}]}}}}}` + configMap("settings"), nil},
		"what a workload at zero reads is used": {"unused-configmap", strings.Replace(deploymentOf("web", 0), "containers:", "volumes: [{name: v, configMap: {name: settings}}], containers:", 1) + configMap("settings"), nil},
		"what only an ephemeral container reads is used": {"unused-configmap", `
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {containers: [{name: c, image: a}], ephemeralContainers: [{name: debug, image: a, env: [{name: V, valueFrom: {configMapKeyRef: {name: settings, key: k}}}]}]}` + configMap("settings"), nil},
		"what only a projected volume reads is used": {"unused-configmap", strings.Replace(deploymentOf("web", 1), "containers:", "volumes: [{name: v, projected: {sources: [{configMap: {name: settings}}]}}], containers:", 1) + configMap("settings"), nil},
		"a volume mount's name is not a ConfigMap's": {"unused-configmap", `
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {volumes: [{name: settings, emptyDir: {}}], initContainers: [{name: i, image: a, volumeMounts: [{name: settings, mountPath: /s}]}], containers: [{name: c, image: a}]}` + configMap("settings"),
			[]string{"configmap/settings"}},
		"what only a custom resource names is used": {"unused-configmap", `
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: shop}
spec: {configMaps: [settings]}` + configMap("settings"), nil},
		"what only a custom resource's pod template reads is used": {"unused-configmap", rolloutOf(2, "envFrom: [{configMapRef: {name: settings}}]") + configMap("settings"), nil},
		"what only a CSI volume needs is used": {"unused-secret", strings.Replace(deploymentOf("web", 1), "containers:",
			"volumes: [{name: v, csi: {driver: smb.csi.k8s.io, nodePublishSecretRef: {name: login}}}], containers:", 1) + secret("login"), nil},
		"what pulls images is used":                        {"unused-secret", strings.Replace(deploymentOf("web", 0), "containers:", "imagePullSecrets: [{name: login}], containers:", 1) + secret("login"), nil},
		"what a service account pulls images with is used": {"unused-secret", "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\nimagePullSecrets: [{name: login}]" + secret("login"), nil},
		"the account of a CronJob is used": {"unused-service-account", `
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {serviceAccountName: nightly, containers: [{name: c, image: a}]}}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nightly, namespace: shop}`, nil},
		"the claim of a workload at zero is used": {"unused-pvc", strings.Replace(deploymentOf("web", 0), "containers:", "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}], containers:", 1) + `
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}`, nil},
		"a topology spread does for anti-affinity": {"spread-unset", strings.Replace(deploymentOf("web", 3), "containers:",
			"topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}], containers:", 1), nil},
		"one replica needs no spread":                 {"spread-unset", deploymentOf("web", 1), nil},
		"one replica needs no budget":                 {"pdb-missing", deploymentOf("web", 1), nil},
		"a Job needs no readiness probe":              {"readiness-probe-missing", "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop}\nspec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: a}]}}}" + serviceOf("web"), nil},
		"a Rollout's pod template is judged":          {"memory-limit-unset", rolloutOf(2, ""), []string{"rollout.argoproj.io/canary"}},
		"a Rollout's replicas are counted":            {"pdb-missing", rolloutOf(2, ""), []string{"rollout.argoproj.io/canary"}},
		"a LimitRange's default fills an unset limit": {"memory-limit-unset", deploymentOf("web", 1) + "\n---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\nspec: {limits: [{type: Container, default: {memory: 64Mi}, defaultRequest: {memory: 32Mi}}]}", nil},
		"an object that was applied in an old version long ago is none that is in use": {"deprecated-api", `
---
apiVersion: dump.prod.kubectl.io/v1
kind: Answer
metadata: {name: metrics}
path: /metrics
body: |
  # TYPE apiserver_storage_size_bytes gauge
  apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 1
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: old
  namespace: shop
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"apiVersion":"policy/v1beta1","kind":"PodDisruptionBudget"}'}
spec: {minAvailable: 1}`, nil},
		"a cordoned or tainted node holds nothing of what a lost one ran": {"capacity-n-minus-one", nodeOf("a", "") + nodeOf("b", "taints: [{key: dedicated, value: db, effect: NoSchedule}]") + `
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: r, controller: true}]}
spec: {nodeName: a, containers: [{name: c, image: a, resources: {requests: {cpu: "3", memory: 1Gi}}}]}
status: {phase: Running}`, []string{"cluster/cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(test.yaml), Namespace: "default", Time: testTime(), AsLive: true}.Load(t.Context())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			at := slices.IndexFunc(All(), func(p practice.Practice) bool { return p.ID == test.practice })
			d := practice.Evaluate(s, All()[at:at+1], practice.Scope{})
			if len(d.NotChecked) > 0 {
				t.Errorf("not checked: %+v", d.NotChecked)
			}
			var got []string
			for _, f := range d.Findings {
				got = append(got, f.Object.String())
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, test.want) {
				t.Errorf("%s is found on %q, want %q: %+v", test.practice, got, test.want, d.Findings)
			}
		})
	}
}

// TestNoScoreWhereNothingWasJudged is another's: a cluster of which nothing could
// be seen was green.
func TestNoScoreWhereNothingWasJudged(t *testing.T) {
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(configMap("settings")), Time: testTime()}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	at := slices.IndexFunc(All(), func(p practice.Practice) bool { return p.ID == "memory-limit-unset" })
	if d := practice.Evaluate(s, All()[at:at+1], practice.Scope{}); d.Score.Percent != nil {
		t.Errorf("the score over nothing is %d", *d.Score.Percent)
	}
}

// TestCPULimitsAreNotAskedFor unless somebody asks for them by name: others ask
// everybody, and throttle them.
func TestCPULimitsAreNotAskedFor(t *testing.T) {
	at := slices.IndexFunc(All(), func(p practice.Practice) bool { return p.ID == "cpu-limit-unset" })
	if !All()[at].Optional {
		t.Error("cpu-limit-unset is on by default")
	}
}

func deploymentOf(name string, replicas int) string {
	return strings.NewReplacer("NAME", name, "N", string(rune('0'+replicas))).Replace(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec: {replicas: N, selector: {matchLabels: {app: NAME}}, template: {metadata: {labels: {app: NAME, tier: front}}, spec: {containers: [{name: c, image: a}]}}}`)
}

func budgetOf(name, namespace, selector string) string {
	return strings.NewReplacer("NAME", name, "SPACE", namespace, "SELECTOR", selector).Replace(`
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: NAME, namespace: SPACE}
spec: {minAvailable: 1, selector: SELECTOR}`)
}

func serviceOf(app string) string {
	return "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: " + app + ", namespace: shop}\nspec: {selector: {app: " + app + "}, ports: [{port: 80}]}"
}

func configMap(name string) string {
	return "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: shop}"
}

func secret(name string) string {
	return "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", namespace: shop}\ntype: Opaque"
}

func rolloutOf(replicas int, container string) string {
	return strings.NewReplacer("N", string(rune('0'+replicas)), "MORE", container).Replace(`
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: canary, namespace: shop}
spec: {replicas: N, template: {metadata: {labels: {app: canary}}, spec: {containers: [{name: c, image: a, MORE}]}}}`)
}

func nodeOf(name, spec string) string {
	return strings.NewReplacer("NAME", name, "SPEC", spec).Replace(`
---
apiVersion: v1
kind: Node
metadata: {name: NAME, labels: {topology.kubernetes.io/zone: NAME}}
spec: {SPEC}
status: {allocatable: {cpu: "4", memory: 16Gi, pods: "110"}, conditions: [{type: Ready, status: "True"}]}`)
}
