package resources

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// Margins and floors of what is proposed. A sample shows no peak: requests get
// a half more than it, limits twice of it. A week's history shows one: then
// requests get 15 % more (as krr gives memory, and the vertical autoscaler
// both), limits a fifth. After a kill the limit itself is what was too low: at
// least a half more (krr: a quarter; the vertical autoscaler: a fifth, or
// 100 MiB).
const (
	requestMargin     = 1.5
	weekRequestMargin = 1.15
	limitMargin       = 2.0
	weekLimitMargin   = 1.2
	killedMargin      = 1.5
	cpuFloor          = 0.01     // cores, krr's
	memoryFloor       = 32 << 20 // of a request
	limitFloor        = 64 << 20
	// enoughHistory is for how long a use must be known before a request is
	// lowered to it: a week has its peak, and a Prometheus may miss some hours.
	enoughHistory = cluster.UsageSpan * 95 / 100
)

// sizedWhen ends what a remedy that sizes a container says of itself.
const sizedWhen = "where a Prometheus has a week's history, to 15 % (limits 20 %) more than its peak, of CPU its 95th percentile; " +
	"refused where there is neither history nor a sample of a pod that has run for 10 minutes, a VerticalPodAutoscaler sizes it, or no node or quota has the room"

// raisesLimit is what the remedies of kills and of those to come write.
const raisesLimit = "raises resources.limits.memory by half, or to half more than is used where that is more, and the request with it where the two are equal; " +
	"refused where a LimitRange, a quota or the nodes leave no room, or the limit is not the container's own"

// sizingKinds are what a size is held against.
func sizingKinds() []cluster.Kind {
	return append(cluster.WorkloadKinds(), // whose templates are written
		cluster.PodMetrics, cluster.Nodes, cluster.LimitRanges, cluster.ResourceQuotas, cluster.Autoscalers, cluster.VerticalScalers, cluster.ReplicaSets,
		cluster.PrometheusUsage,
	)
}

// sizer proposes the size of a container from what it uses, where nobody else
// sizes it.
func sizer(size func(*cluster.Snapshot, cluster.Container, practice.Finding) practice.Proposal) func(*cluster.Snapshot, practice.Finding) practice.Proposal {
	return mend.Container(func(s *cluster.Snapshot, c cluster.Container, f practice.Finding) practice.Proposal {
		if c.Workload.VerticalScaler != "" {
			return practice.Refuse("%s sizes its pods", c.Workload.VerticalScaler)
		}
		return size(s, c, f)
	})
}

// setRequest proposes the request that a container lacks.
func setRequest(name corev1.ResourceName) func(*cluster.Snapshot, practice.Finding) practice.Proposal {
	return sizer(func(s *cluster.Snapshot, c cluster.Container, _ practice.Finding) practice.Proposal {
		edit, why, refused := requestFor(s, c, name)
		if refused != "" {
			return practice.Refuse("%s", refused)
		}
		return practice.Propose(mend.Edit(c.Workload, edit)).Because("%s", why)
	})
}

// requestFor is the request that fits what a container uses.
func requestFor(s *cluster.Snapshot, c cluster.Container, name corev1.ResourceName) (edit change.Edit, why, refused string) {
	known, ok := usedBy(s, c, name)
	if !ok {
		return edit, "", unknownUse(s)
	}
	margin := known.forRequest()
	wanted := rounded(name, max(known.peak*margin, known.now, floorOf(name)))
	effective := s.Resources(c)
	if limit, limited := effective.Limits[name]; limited && number(limit) < number(wanted) {
		wanted = limit
	}
	if refused := lacksRoom(s, c, name, wanted); refused != "" {
		return edit, "", refused
	}
	return change.Set(wanted.String(), mend.InContainer(c, "resources", "requests", string(name))...),
		fmt.Sprintf("container %q %s; × %s, and at least %s", c.Name, known.words(name), times(margin), amount(name, floorOf(name))), ""
}

func floorOf(name corev1.ResourceName) float64 {
	if name == corev1.ResourceCPU {
		return cpuFloor
	}
	return memoryFloor
}

// setLimit proposes the memory limit that a container lacks.
func setLimit(s *cluster.Snapshot, c cluster.Container, _ practice.Finding) practice.Proposal {
	known, ok := usedBy(s, c, corev1.ResourceMemory)
	if !ok {
		return practice.Refuse("%s", unknownUse(s))
	}
	wanted := max(known.peak*known.forLimit(), limitFloor)
	request, requested := s.Resources(c).Requests[corev1.ResourceMemory]
	if requested {
		wanted = max(wanted, number(request)) // a limit below it would be refused
	}
	if k := kill(c); k != nil {
		return practice.Refuse("it was OOMKilled without a limit of its own: how much it wants is not known")
	}
	limit := rounded(corev1.ResourceMemory, wanted)
	if why := overMaximum(s, c, limit); why != "" {
		return practice.Refuse("%s", why)
	}
	edits := []change.Edit{change.Set(limit.String(), mend.InContainer(c, "resources", "limits", "memory")...)}
	if !requested { // an unset request would become the limit, and reserve twice what is used
		edit, _, refused := requestFor(s, c, corev1.ResourceMemory)
		if refused != "" {
			return practice.Refuse("%s", refused)
		}
		edits = append(edits, edit)
	}
	return practice.Propose(mend.Edit(c.Workload, edits...)).
		Because("container %q %s; × %s, and at least %s", c.Name, known.words(corev1.ResourceMemory), times(known.forLimit()), amount(corev1.ResourceMemory, limitFloor)).
		Risking("a peak above the limit, which %s does not show, is killed%s", shownBy(known), heapNote(c))
}

// raiseLimit proposes a higher memory limit for a container that was killed at
// it, or is about to be: never lower than the present one.
func raiseLimit(s *cluster.Snapshot, c cluster.Container, _ practice.Finding) practice.Proposal {
	limit, limited := s.Resources(c).Limits[corev1.ResourceMemory]
	own, set := c.Resources.Limits[corev1.ResourceMemory]
	switch {
	case !limited:
		return practice.Refuse("it has no memory limit of its own: its node, or its pod as a whole, ran out")
	case !set:
		return practice.Refuse("its limit is a LimitRange's default: set one of its own above it")
	}
	said := fmt.Sprintf("the limit was %s", amount(corev1.ResourceMemory, number(limit)))
	wanted := number(own) * killedMargin
	if known, ok := usedBy(s, c, corev1.ResourceMemory); ok {
		said += fmt.Sprintf("; container %q %s", c.Name, known.words(corev1.ResourceMemory))
		wanted = max(wanted, known.peak*killedMargin)
	}
	raised := rounded(corev1.ResourceMemory, wanted)
	if why := overMaximum(s, c, raised); why != "" {
		return practice.Refuse("%s", why)
	}
	edits := []change.Edit{change.Set(raised.String(), mend.InContainer(c, "resources", "limits", "memory")...)}
	request, requested := c.Resources.Requests[corev1.ResourceMemory]
	switch {
	case !requested: // keep what is reserved as it is
		edits = append(edits, change.Set(own.String(), mend.InContainer(c, "resources", "requests", "memory")...))
	case request.Cmp(own) == 0: // request and limit alike are a choice: Guaranteed
		if why := lacksRoom(s, c, corev1.ResourceMemory, raised); why != "" {
			return practice.Refuse("%s", why)
		}
		edits = append(edits, change.Set(raised.String(), mend.InContainer(c, "resources", "requests", "memory")...))
	}
	return practice.Propose(mend.Edit(c.Workload, edits...)).Because("%s; × %s", said, times(killedMargin)).
		Risking("a leak only takes longer to reach it%s", heapNote(c))
}

// raiseRequest raises a request to what its container uses.
func raiseRequest(s *cluster.Snapshot, c cluster.Container, f practice.Finding) practice.Proposal {
	name := corev1.ResourceName(f.Path[strings.LastIndex(f.Path, ".")+1:])
	if why := scalesOn(c.Workload, name); why != "" {
		return practice.Refuse("%s", why)
	}
	edit, why, refused := requestFor(s, c, name)
	if refused != "" {
		return practice.Refuse("%s", refused)
	}
	return practice.Propose(mend.Edit(c.Workload, edit)).Because("%s", why)
}

// lowerRequest lowers a request to what its container used over a week.
func lowerRequest(s *cluster.Snapshot, c cluster.Container, f practice.Finding) practice.Proposal {
	name := corev1.ResourceName(f.Path[strings.LastIndex(f.Path, ".")+1:])
	known, ok := usedBy(s, c, name)
	switch {
	case !ok:
		return practice.Refuse("%s", unknownUse(s))
	case known.history == 0:
		return practice.Refuse("it %s: too little to take room away, since a week has its peak; %s", known.words(name), noHistory(s))
	case known.history < enoughHistory:
		return practice.Refuse("it %s: too little to take room away, since a week has its peak", known.words(name))
	case isGuaranteed(c.Workload):
		return practice.Refuse("its pods are of QoS class Guaranteed, which they would lose with a request below the limit: lower both by hand")
	}
	if why := scalesOn(c.Workload, name); why != "" {
		return practice.Refuse("%s", why)
	}
	edit, why, refused := requestFor(s, c, name)
	if refused != "" {
		return practice.Refuse("%s", refused)
	}
	request := c.Resources.Requests[name]
	if lowered, err := resource.ParseQuantity(fmt.Sprint(edit.Value)); err != nil || lowered.Cmp(request) >= 0 {
		return practice.Refuse("it %s, and with a margin that is no less than it requests", known.words(name))
	}
	return practice.Propose(mend.Edit(c.Workload, edit)).Because("%s", why).
		Risking("a peak that comes less than once a week finds its room taken by others")
}

func isGuaranteed(w *cluster.Workload) bool {
	return slices.ContainsFunc(w.Pods, func(p *cluster.Pod) bool { return p.Status.QOSClass == corev1.PodQOSGuaranteed })
}

// scalesOn says that an autoscaler counts in parts of a request, so that
// another request would be another target.
func scalesOn(w *cluster.Workload, name corev1.ResourceName) string {
	if w.Autoscaler == nil {
		return ""
	}
	for _, u := range utilisations(w.Autoscaler) {
		if u.resource == name {
			return fmt.Sprintf("%s scales on the utilisation of %s, in parts of this request: change its target with it", w.Scaler, spoken(name))
		}
	}
	return ""
}

// kill is what is known of a container's kills for want of memory.
func kill(c cluster.Container) *killed {
	for _, k := range kills(c.Workload) {
		if k.container == c.Name {
			return k
		}
	}
	return nil
}

// overMaximum says that a LimitRange refuses a memory limit.
func overMaximum(s *cluster.Snapshot, c cluster.Container, limit resource.Quantity) string {
	for _, lr := range s.LimitRanges {
		if lr.Namespace != c.Workload.Self.Namespace {
			continue
		}
		for _, item := range lr.Spec.Limits {
			if most, bounded := item.Max[corev1.ResourceMemory]; bounded && item.Type == corev1.LimitTypeContainer && most.Cmp(limit) < 0 {
				return fmt.Sprintf("LimitRange %s allows a container %s at the most, and %s would be needed", lr.Name, amount(corev1.ResourceMemory, number(most)), amount(corev1.ResourceMemory, number(limit)))
			}
		}
	}
	return ""
}

// lacksRoom says why a request could not be met: no node is as large, or a quota
// has not as much left for all pods.
func lacksRoom(s *cluster.Snapshot, c cluster.Container, name corev1.ResourceName, wanted resource.Quantity) string {
	largest := 0.0
	for _, node := range s.Nodes {
		largest = max(largest, number(node.Status.Allocatable[name]))
	}
	if largest > 0 && number(wanted) > largest {
		return fmt.Sprintf("no node has %s to give: the largest has %s", amount(name, number(wanted)), amount(name, largest))
	}
	before := s.Resources(c).Requests[name]
	more := (number(wanted) - number(before)) * float64(max(1, len(c.Workload.Pods)))
	for _, quota := range s.ResourceQuotas {
		if quota.Namespace != c.Workload.Self.Namespace || len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
			continue
		}
		for _, key := range []corev1.ResourceName{name, "requests." + name} {
			hard, bounded := quota.Status.Hard[key]
			if left := number(hard) - number(quota.Status.Used[key]); bounded && more > left {
				return fmt.Sprintf("ResourceQuota %s has %s left, and its pods would take %s more", quota.Name, amount(name, left), amount(name, more))
			}
		}
	}
	return ""
}

// heapNote tells of a heap that is bounded by the container's own settings: a
// limit does not move it.
func heapNote(c cluster.Container) string {
	settings := slices.Concat(c.Command, c.Args)
	for _, env := range c.Env {
		settings = append(settings, env.Name+"="+env.Value)
	}
	for _, hint := range []string{"-Xmx", "MaxRAMPercentage", "GOMEMLIMIT", "max-old-space-size"} {
		if strings.Contains(strings.Join(settings, " "), hint) {
			return "; its heap is bounded by " + hint + ", which stays as it is"
		}
	}
	return ""
}

// rounded is a quantity as a person would write it, rounded up: CPU to 5, 10 or
// 50 millicores, memory to 8, 16 or 64 MiB, by its size.
func rounded(name corev1.ResourceName, value float64) resource.Quantity {
	if name == corev1.ResourceCPU {
		return *resource.NewMilliQuantity(int64(upTo(value*1000, 5, 10, 50, 200)), resource.DecimalSI)
	}
	const mib = 1 << 20
	return *resource.NewQuantity(int64(upTo(value/mib, 8, 16, 64, 256))*mib, resource.BinarySI)
}

// upTo rounds up: finely below bound, coarsely from four times that.
func upTo(value, fine, middle, coarse, bound float64) float64 {
	step := middle
	switch {
	case value < bound:
		step = fine
	case value >= 4*bound:
		step = coarse
	}
	return math.Ceil(value/step-1e-9) * step
}
