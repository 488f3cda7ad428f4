package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What a Prometheus of the cluster is asked, through the API server's service
// proxy, where one is found. Each kind is asked only when a practice needs it.
const (
	// PrometheusLoadedRules are the rules that it evaluates.
	PrometheusLoadedRules Kind = "services/proxy (Prometheus: rules)"
	// PrometheusScraped are the pods that it scrapes.
	PrometheusScraped Kind = "services/proxy (Prometheus: targets)"
	// PrometheusNodes are the nodes' own figures, by node exporter.
	PrometheusNodes Kind = "services/proxy (Prometheus: nodes)"
	// PrometheusVolumes are the volumes' figures, by the kubelets.
	PrometheusVolumes Kind = "services/proxy (Prometheus: volumes)"
	// PrometheusEtcd are etcd's own figures.
	PrometheusEtcd Kind = "services/proxy (Prometheus: etcd)"
	// PrometheusGPUs are the GPUs' figures, by NVIDIA's exporter.
	PrometheusGPUs Kind = "services/proxy (Prometheus: GPUs)"
)

// The sizes of answers that are read of a Prometheus: one with thousands of
// rules, or of volumes, has some megabytes.
const largestAnswer = 32 << 20

// Prometheus is what a Prometheus of the cluster said.
type Prometheus struct {
	// Service names where it was asked, "monitoring/prometheus-operated:web".
	Service string
	Rules   []LoadedRule
	// Scraped tells of each pod, by namespace and name, whether all its targets
	// answer.
	Scraped map[[2]string]bool
	// NodeCPU, NodeMemory and NodeDisk are shares used, 0 to 1, by node.
	NodeCPU, NodeMemory, NodeDisk map[string]float64
	Volumes                       []VolumeStats
	// Etcd is by member, as Prometheus names its instance.
	Etcd map[string]EtcdSize
	// GPUs is the use of a pod's GPUs over the last hour, 0 to 100, by namespace
	// and name.
	GPUs map[[2]string]float64
	// Usage is what containers used over the last week; see [Snapshot.PastUseOf].
	Usage map[pastKey]PastUse
}

// LoadedRule is a rule that a Prometheus evaluates.
type LoadedRule struct {
	// File is where it read the rule from; the operator names its files
	// NAMESPACE-NAME-UID.yaml after the PrometheusRule.
	File string
	// Name is the alert's, or the metric's that it records.
	Name  string
	Query string
	Alert bool
	// Failure is why its last evaluation failed; "" when it did not.
	Failure string
}

// EtcdSize is how much of its database an etcd member uses, in bytes; Quota is
// 0 where it does not tell.
type EtcdSize struct{ Total, InUse, Quota float64 }

// question is a query and what becomes of its answer.
type question struct {
	promQL string
	take   func(*Prometheus, sampled)
}

// sampled is one sample of an answer.
type sampled struct {
	labels map[string]string
	value  float64
}

// byNode joins node exporter's figures, which know an instance, to its machine's
// name, which by default is the node's.
const byNode = " * on (instance) group_left (nodename) max by (instance, nodename) (node_uname_info)"

// questions are what is asked for each kind.
func questions(kind Kind) []question {
	share := func(of func(*Prometheus) *map[string]float64) func(*Prometheus, sampled) {
		return func(p *Prometheus, s sampled) { put(of(p), s.labels["nodename"], s.value) }
	}
	volume := func(set func(*VolumeStats, int64)) func(*Prometheus, sampled) {
		return func(p *Prometheus, s sampled) {
			set(p.volume(s.labels["namespace"], s.labels["persistentvolumeclaim"]), int64(s.value))
		}
	}
	member := func(set func(*EtcdSize, float64)) func(*Prometheus, sampled) {
		return func(p *Prometheus, s sampled) {
			size := p.Etcd[s.labels["instance"]]
			set(&size, s.value)
			put(&p.Etcd, s.labels["instance"], size)
		}
	}
	ofClaim := func(metric string) string { return "max by (namespace, persistentvolumeclaim) (" + metric + ")" }
	switch kind {
	case PrometheusScraped:
		return []question{{"min by (namespace, pod) (up{pod!=\"\"})", func(p *Prometheus, s sampled) {
			put(&p.Scraped, [2]string{s.labels["namespace"], s.labels["pod"]}, s.value == 1)
		}}}
	case PrometheusNodes:
		return []question{
			{`(1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])))` + byNode, share(func(p *Prometheus) *map[string]float64 { return &p.NodeCPU })},
			{"(1 - max by (instance) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes))" + byNode, share(func(p *Prometheus) *map[string]float64 { return &p.NodeMemory })},
			{`max by (instance) (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs|erofs|nsfs|fuse.*"} / (node_filesystem_size_bytes > 0))` + byNode, share(func(p *Prometheus) *map[string]float64 { return &p.NodeDisk })},
		}
	case PrometheusVolumes:
		return []question{
			{ofClaim("kubelet_volume_stats_capacity_bytes"), volume(func(v *VolumeStats, n int64) { v.CapacityBytes = n })},
			{ofClaim("kubelet_volume_stats_capacity_bytes - kubelet_volume_stats_available_bytes"), volume(func(v *VolumeStats, n int64) { v.UsedBytes = n })},
			{ofClaim("kubelet_volume_stats_inodes"), volume(func(v *VolumeStats, n int64) { v.Inodes = n })},
			{ofClaim("kubelet_volume_stats_inodes_used"), volume(func(v *VolumeStats, n int64) { v.UsedInodes = n })},
		}
	case PrometheusEtcd:
		return []question{
			{"max by (instance) (etcd_mvcc_db_total_size_in_bytes)", member(func(e *EtcdSize, n float64) { e.Total = n })},
			{"max by (instance) (etcd_mvcc_db_total_size_in_use_in_bytes)", member(func(e *EtcdSize, n float64) { e.InUse = n })},
			{"max by (instance) (etcd_server_quota_backend_bytes)", member(func(e *EtcdSize, n float64) { e.Quota = n })},
		}
	case PrometheusUsage:
		return usageQuestions()
	case PrometheusGPUs:
		// The exporter names the pod that holds the GPU, which a scrape by the
		// operator renames, since "pod" is then the exporter's own.
		return []question{{`max by (namespace, pod) (label_replace(label_replace(avg_over_time(DCGM_FI_DEV_GPU_UTIL[1h]), "pod", "$1", "exported_pod", "(.+)"), "namespace", "$1", "exported_namespace", "(.+)"))`,
			func(p *Prometheus, s sampled) {
				put(&p.GPUs, [2]string{s.labels["namespace"], s.labels["pod"]}, s.value)
			}}}
	}
	return nil
}

func put[K comparable, V any](into *map[K]V, key K, value V) {
	if *into == nil {
		*into = map[K]V{}
	}
	(*into)[key] = value
}

func (p *Prometheus) volume(namespace, claim string) *VolumeStats {
	at := slices.IndexFunc(p.Volumes, func(v VolumeStats) bool { return v.Namespace == namespace && v.Claim == claim })
	if at < 0 {
		at = len(p.Volumes)
		p.Volumes = append(p.Volumes, VolumeStats{Namespace: namespace, Claim: claim})
	}
	return &p.Volumes[at]
}

// prometheusKinds are those that ask a Prometheus.
func prometheusKinds() []Kind {
	return []Kind{PrometheusLoadedRules, PrometheusScraped, PrometheusNodes, PrometheusVolumes, PrometheusEtcd, PrometheusGPUs, PrometheusUsage}
}

// usualPrometheuses are the names under which the service of a Prometheus is
// installed by the operator, by kube-prometheus and by the community's chart: to
// these, and not to every service, a role can grant access ahead.
func usualPrometheuses() []string {
	return []string{"prometheus-operated:web", "prometheus-k8s:web", "prometheus-server:http", "prometheus:9090", "prometheus:web", "prometheus:http"}
}

func allowService(names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services/proxy"}, ResourceNames: names, Verbs: []string{"get"}}
}

// prometheusProbes are a probe for each kind that asks a Prometheus.
func prometheusProbes() []probe {
	var all []probe
	for _, kind := range prometheusKinds() {
		all = append(all, probe{kind, allowService(usualPrometheuses()...), []Kind{Pods, Services}, func(ctx context.Context, r *reader, coverage *Coverage) error {
			return r.askPrometheus(ctx, kind, coverage)
		}})
	}
	return all
}

// endpoint is where a Prometheus answers.
type endpoint struct{ namespace, service, prefix string }

func (e endpoint) path(api string) string {
	return "/api/v1/namespaces/" + e.namespace + "/services/" + e.service + "/proxy" + e.prefix + "/api/v1/" + api
}

// askPrometheus asks a Prometheus what one kind needs; [errAbsent] when there
// is none.
func (r *reader) askPrometheus(ctx context.Context, kind Kind, coverage *Coverage) error {
	coverage.Optional = true
	at, found := findPrometheus(r.snapshot)
	if !found {
		return errAbsent
	}
	coverage.Allow = told(allowService(at.service))
	answer := &Prometheus{}
	ask := func(path string, parameters ...string) ([]byte, error) {
		request := r.client.Get().AbsPath(at.path(path)).SetHeader("Accept", "application/json")
		for i := 0; i+1 < len(parameters); i += 2 {
			request = request.Param(parameters[i], parameters[i+1])
		}
		return r.readAnswer(ctx, largestAnswer, request)
	}
	if kind == PrometheusLoadedRules {
		body, err := ask("rules", "exclude_alerts", "true")
		if err == nil {
			err = answer.takeRules(body)
		}
		if err != nil {
			return err
		}
		coverage.Objects = len(answer.Rules)
	}
	for _, q := range questions(kind) {
		body, err := ask("query", "query", q.promQL)
		if err != nil {
			return err
		}
		n, err := answer.takeSamples(body, q.take)
		if err != nil {
			return err
		}
		coverage.Objects += n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot.mergePrometheus(at.namespace+"/"+at.service, kind, answer)
	return nil
}

// mergePrometheus keeps what was asked for one kind.
func (s *Snapshot) mergePrometheus(service string, kind Kind, answer *Prometheus) {
	if s.Prometheus == nil {
		s.Prometheus = &Prometheus{Service: service}
	}
	p := s.Prometheus
	switch kind {
	case PrometheusLoadedRules:
		p.Rules = answer.Rules
	case PrometheusScraped:
		p.Scraped = answer.Scraped
	case PrometheusNodes:
		p.NodeCPU, p.NodeMemory, p.NodeDisk = answer.NodeCPU, answer.NodeMemory, answer.NodeDisk
	case PrometheusVolumes:
		p.Volumes = answer.Volumes
	case PrometheusEtcd:
		p.Etcd = answer.Etcd
	case PrometheusGPUs:
		p.GPUs = answer.GPUs
	case PrometheusUsage:
		p.Usage = answer.Usage
	}
}

// takeRules reads the answer of /api/v1/rules
// (https://prometheus.io/docs/prometheus/latest/querying/api/#rules).
func (p *Prometheus) takeRules(body []byte) error {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   *struct {
			Groups []struct {
				File  string `json:"file"`
				Rules []struct {
					Name      string `json:"name"`
					Query     string `json:"query"`
					Type      string `json:"type"`
					LastError string `json:"lastError"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("not the answer of a Prometheus: %w", err)
	}
	if answer.Status != "success" || answer.Data == nil {
		return errors.New("Prometheus says: " + cmp.Or(answer.Error, "status "+strconv.Quote(answer.Status)))
	}
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			p.Rules = append(p.Rules, LoadedRule{File: group.File, Name: rule.Name, Query: rule.Query, Alert: rule.Type == "alerting", Failure: rule.LastError})
		}
	}
	return nil
}

// takeSamples reads the answer of an instant query, and counts its samples
// (https://prometheus.io/docs/prometheus/latest/querying/api/#instant-vectors).
func (p *Prometheus) takeSamples(body []byte, take func(*Prometheus, sampled)) (int, error) {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("not the answer of a Prometheus: %w", err)
	}
	if answer.Status != "success" || answer.Data.ResultType != "vector" {
		return 0, errors.New("Prometheus says: " + cmp.Or(answer.Error, "status "+strconv.Quote(answer.Status)))
	}
	n := 0
	for _, one := range answer.Data.Result {
		var text string
		if json.Unmarshal(one.Value[1], &text) != nil {
			continue
		}
		if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) && !math.IsInf(value, 0) {
			take(p, sampled{one.Metric, value})
			n++
		}
	}
	return n, nil
}

// findPrometheus finds a Service of a Prometheus: one that selects a running
// pod of its image, with a port that leads to it. Of several, one of the usual
// names, and then the first by name.
func findPrometheus(s *Snapshot) (endpoint, bool) {
	var found []endpoint
	for _, pod := range s.Pods {
		at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return isPrometheus(c.Image) })
		if at < 0 || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		for _, service := range s.Services {
			if service.Namespace != pod.Namespace || len(service.Spec.Selector) == 0 || !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				continue
			}
			if port := portTo(service, &pod.Spec.Containers[at]); port != "" {
				found = append(found, endpoint{service.Namespace, service.Name + ":" + port, routePrefix(&pod.Spec.Containers[at])})
			}
		}
	}
	slices.SortFunc(found, func(a, b endpoint) int {
		return cmp.Or(usual(a)-usual(b), strings.Compare(a.namespace+"/"+a.service, b.namespace+"/"+b.service))
	})
	if len(found) == 0 {
		return endpoint{}, false
	}
	return found[0], true
}

func usual(e endpoint) int {
	if slices.Contains(usualPrometheuses(), e.service) {
		return 0
	}
	return 1
}

// isPrometheus reports whether an image is Prometheus', by the last part of its
// name.
func isPrometheus(image string) bool {
	name, _, _ := strings.Cut(image, "@")
	name, _, _ = strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return name == "prometheus"
}

// portTo is the port of a Service that leads to Prometheus' own in a container,
// 9090 unless it listens elsewhere: its name, or its number where it has none.
func portTo(service *corev1.Service, container *corev1.Container) string {
	listens := int32(9090)
	if found := regexp.MustCompile(`--web\.listen-address[= ]\S*:(\d+)`).FindStringSubmatch(strings.Join(container.Args, " ")); found != nil {
		if n, err := strconv.ParseInt(found[1], 10, 32); err == nil {
			listens = int32(n)
		}
	}
	var names []string // of the container's port
	for _, port := range container.Ports {
		if port.ContainerPort == listens {
			names = append(names, port.Name)
		}
	}
	for _, port := range service.Spec.Ports {
		to := port.TargetPort
		byNumber := to.Type == intstr.Int && (to.IntVal == listens || to.IntVal == 0 && port.Port == listens)
		if byNumber || to.Type == intstr.String && slices.Contains(names, to.StrVal) {
			return cmp.Or(port.Name, strconv.Itoa(int(port.Port)))
		}
	}
	return ""
}

// routePrefix is the path below which a Prometheus answers: --web.route-prefix,
// or else the path of --web.external-url.
func routePrefix(container *corev1.Container) string {
	args := strings.Join(container.Args, " ")
	if found := regexp.MustCompile(`--web\.route-prefix[= ](\S+)`).FindStringSubmatch(args); found != nil {
		return strings.TrimSuffix(found[1], "/")
	}
	if found := regexp.MustCompile(`--web\.external-url[= ](\S+)`).FindStringSubmatch(args); found != nil {
		if parsed, err := url.Parse(found[1]); err == nil {
			return strings.TrimSuffix(parsed.Path, "/")
		}
	}
	return ""
}

// takePrometheus takes up an answer of a Prometheus from a dump, by its path
// and the query in it.
func (s *Snapshot) takePrometheus(path, body string) error {
	where, api, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/namespaces/"), "/proxy/")
	service := strings.Replace(where, "/services/", "/", 1)
	_, api, _ = strings.Cut("/"+api, "/api/v1/")
	answer, kind := &Prometheus{}, Kind("")
	if api == "rules" {
		kind = PrometheusLoadedRules
		if err := answer.takeRules([]byte(body)); err != nil {
			return err
		}
	}
	for _, k := range prometheusKinds() {
		for _, q := range questions(k) {
			if api == "query?query="+q.promQL {
				kind = k
				if s.Prometheus != nil {
					answer = s.Prometheus // several queries fill one kind
				}
				if _, err := answer.takeSamples([]byte(body), q.take); err != nil {
					return err
				}
			}
		}
	}
	if kind == "" {
		return fmt.Errorf("no read asks a Prometheus for %q", api)
	}
	s.mergePrometheus(service, kind, answer)
	s.coverage[kind] = Coverage{Kind: kind, State: Read, Optional: true}
	return nil
}
