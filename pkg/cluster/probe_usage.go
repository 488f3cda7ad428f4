package cluster

import (
	"strings"
	"time"
)

// PrometheusUsage is what containers used over the last week, by the kubelets'
// own figures in a Prometheus.
const PrometheusUsage Kind = "services/proxy (Prometheus: usage)"

// UsageSpan is how far back a Prometheus is asked for what containers used: a
// week has its peak.
const UsageSpan = 7 * 24 * time.Hour

// PastUse is what a container used, over all pods that its owner has had.
type PastUse struct {
	// CPU is the 95th percentile of what the fullest pod used over ten minutes,
	// in cores; HasCPU is false where there is no such figure.
	CPU    float64
	HasCPU bool
	// Memory is the peak of the fullest pod's working set, in bytes.
	Memory float64
	// Known is over how much of [UsageSpan] there are figures of memory: the
	// hours at which some pod had one.
	Known time.Duration
}

// pastKey names a container of the pods that one object has made.
type pastKey struct{ namespace, owner, container string }

// figuresOf selects a kubelet's figure of containers: without a name it is of
// the whole pod, or of a control group above it.
func figuresOf(metric string) string { return metric + `{container!="",container!="POD"}` }

// madeBy leaves of a pod's name what its owner's is: without the ending that is
// the pod's own and, of a Deployment's, the hash of its template. So pods of
// earlier templates, which are gone, are counted with those of the present one.
// A ReplicaSet's hash is of the alphabet that spells no words
// (k8s.io/apimachinery/pkg/util/rand, SafeEncodeString).
const madeBy = `(.+?)(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[^-]+`

func byOwner(aggregate, of string) string {
	return aggregate + ` by (namespace, owner, container) (label_replace(` + of + `, "owner", "$1", "pod", "` + madeBy + `"))`
}

// usageQuestions are made so that a week of 20,000 containers is within what a
// Prometheus answers by default (query.max-samples, 50 million).
func usageQuestions() []question {
	use := func(set func(*PastUse, float64)) func(*Prometheus, sampled) {
		return func(p *Prometheus, s sampled) {
			key := pastKey{s.labels["namespace"], s.labels["owner"], s.labels["container"]}
			if key.owner == "" {
				return // a bare pod's name tells no owner
			}
			use := p.Usage[key]
			set(&use, s.value)
			put(&p.Usage, key, use)
		}
	}
	return []question{
		{
			byOwner("max", "max_over_time("+figuresOf("container_memory_working_set_bytes")+"[7d])"),
			use(func(u *PastUse, n float64) { u.Memory = n }),
		},
		{
			byOwner("max", "quantile_over_time(0.95, rate("+figuresOf("container_cpu_usage_seconds_total")+"[10m])[7d:10m])"),
			use(func(u *PastUse, n float64) { u.CPU, u.HasCPU = n, true }),
		},
		{
			"count_over_time(" + byOwner("count", figuresOf("container_memory_working_set_bytes")) + "[7d:1h])",
			use(func(u *PastUse, n float64) { u.Known = min(UsageSpan, time.Duration(n)*time.Hour) }),
		},
	}
}

// PastUseOf is what a container of a Workload used over the last week; false
// where no Prometheus has figures of it.
func (s *Snapshot) PastUseOf(w *Workload, container string) (PastUse, bool) {
	if s.Prometheus == nil {
		return PastUse{}, false
	}
	owners := map[string]bool{w.Self.Name: true}
	for _, pod := range w.Pods {
		owners[ownerIn(pod.Name)] = true
	}
	var all PastUse
	found := false
	for owner := range owners {
		if use, ok := s.Prometheus.Usage[pastKey{w.Self.Namespace, owner, container}]; ok && use.Known > 0 {
			found = true
			all.CPU, all.HasCPU = max(all.CPU, use.CPU), all.HasCPU || use.HasCPU
			all.Memory, all.Known = max(all.Memory, use.Memory), max(all.Known, use.Known)
		}
	}
	return all, found
}

// ownerIn is what [madeBy] leaves of a pod's name.
func ownerIn(pod string) string {
	end := strings.LastIndex(pod, "-")
	if end < 0 {
		return pod
	}
	owner := pod[:end]
	if at := strings.LastIndex(owner, "-"); at > 0 && isHash(owner[at+1:]) {
		return owner[:at]
	}
	return owner
}

func isHash(text string) bool {
	return len(text) >= 6 && len(text) <= 10 && strings.Trim(text, "bcdfghjklmnpqrstvwxz2456789") == ""
}
