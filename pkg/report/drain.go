package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// DrainCheck is the result of `kubectl prod drain-check`.
type DrainCheck struct {
	metav1.TypeMeta `json:",inline"`

	// Time is the moment that was judged, by the API server's clock.
	Time   metav1.Time `json:"time"`
	Origin Origin      `json:"origin"`
	// Asked is the drain that was judged, as kubectl would take it.
	Asked string `json:"asked"`
	// Verdict is worst first: unknown, blocked, breaks, safe.
	Verdict DrainVerdict `json:"verdict"`
	// Summary says the verdict in one sentence.
	Summary string `json:"summary"`
	// Command is the drain that would succeed, after the fixes of the blockers;
	// empty when no drain of these nodes would.
	Command string `json:"command,omitempty"`

	Nodes []DrainNode `json:"nodes"`
	// Pods are those on the nodes, by node, namespace and name.
	Pods []DrainPod `json:"pods"`
	// Budgets are those that the drain touches, counted over all its pods.
	Budgets []DrainBudget `json:"budgets"`
	// Blockers are what the drain fails on, or waits on for ever.
	Blockers []DrainBlocker `json:"blockers"`
	// Consequences are what breaks although the drain finishes, worst first.
	Consequences []DrainConsequence `json:"consequences"`
	Placement    DrainPlacement     `json:"placement"`
	Duration     DrainDuration      `json:"duration"`
	// Unknowns are what nobody can tell from outside, or what was not read.
	Unknowns []DrainUnknown `json:"unknowns"`
	// Plan is the order for many nodes, where it was asked for.
	Plan *DrainPlan `json:"plan,omitempty"`
}

// DrainVerdict is the answer of a drain-check.
type DrainVerdict string

// The verdicts.
const (
	// VerdictUnknown: something that decides could not be read.
	VerdictUnknown DrainVerdict = "unknown"
	// VerdictBlocked: the drain would refuse, fail, or wait for ever.
	VerdictBlocked DrainVerdict = "blocked"
	// VerdictBreaks: the drain would finish and leave something broken.
	VerdictBreaks DrainVerdict = "breaks"
	// VerdictSafe: the drain would finish, and everything would run elsewhere.
	VerdictSafe DrainVerdict = "safe"
)

// DrainNode is a node that would be drained.
type DrainNode struct {
	Name string `json:"name"`
	Zone string `json:"zone,omitempty"`
	// Cordoned is true when the node is unschedulable already, Ready when its
	// kubelet answers.
	Cordoned bool `json:"cordoned"`
	Ready    bool `json:"ready"`
	// Evict, Skip and Block count its pods by their outcome.
	Evict int `json:"evict"`
	Skip  int `json:"skip"`
	Block int `json:"block"`
	// Refused is true when kubectl drain would evict nothing from this node,
	// because of a pod that its flags do not cover.
	Refused bool `json:"refused"`
}

// DrainOutcome is what a drain does to a pod.
type DrainOutcome string

// The outcomes.
const (
	DrainEvicted DrainOutcome = "evicted"
	DrainSkipped DrainOutcome = "skipped"
	DrainStays   DrainOutcome = "blocked"
)

// DrainPod is a pod on a node that would be drained.
type DrainPod struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Node      string       `json:"node"`
	Owner     Object       `json:"owner"`
	Outcome   DrainOutcome `json:"outcome"`
	// Reasons are all that block it, or why it is skipped.
	Reasons []DrainReason `json:"reasons,omitempty"`
	// Wave is when it goes, from 1: a budget lets the next wave go when the
	// replacements of the one before are ready. 0 when it does not go.
	Wave int `json:"wave,omitempty"`
	// Priority and GraceSeconds are the pod's, the latter as the drain sets it.
	Priority     int32 `json:"priority"`
	GraceSeconds int64 `json:"graceSeconds"`
	// Replaced is true when its controller makes a new one.
	Replaced bool `json:"replaced"`
	// To is the likely node of its replacement: the scheduler breaks ties at
	// random. Fits counts the nodes that it fits.
	To   string `json:"to,omitempty"`
	Fits int    `json:"fits,omitempty"`
	// DependsOnOrder is true when it finds a place in some orders of scheduling
	// and not in others: kubectl evicts at the same time, so nobody knows which.
	DependsOnOrder bool `json:"dependsOnOrder,omitempty"`
	// Unplaced says in the scheduler's words why no node fits.
	Unplaced string `json:"unplaced,omitempty"`
	// Preempts are pods of lower priority that make room.
	Preempts []string `json:"preempts,omitempty"`
	// Unknown says why its placement cannot be told.
	Unknown string `json:"unknown,omitempty"`
}

// DrainReason is one reason for an outcome.
type DrainReason struct {
	// By is who says so: "kubectl" for its filters, "eviction" for the API.
	By string `json:"by"`
	// Code is the HTTP status of the eviction API; 0 for kubectl.
	Code int `json:"code,omitempty"`
	// Message is in their own words.
	Message string `json:"message"`
	// Budget names the PodDisruptionBudget.
	Budget string `json:"budget,omitempty"`
	// Flag is the flag of kubectl drain that overrides it.
	Flag string `json:"flag,omitempty"`
}

// DrainBudget is a PodDisruptionBudget counted over all pods of the drain.
type DrainBudget struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Rule is its spec, "minAvailable 2".
	Rule string `json:"rule"`
	// Healthy, Desired, Expected and Allowed are its status.
	Healthy  int32 `json:"healthy"`
	Desired  int32 `json:"desired"`
	Expected int32 `json:"expected"`
	Allowed  int32 `json:"allowed"`
	// Evict and Block count the drain's pods that need it, by outcome.
	Evict int `json:"evict"`
	Block int `json:"block"`
	Waves int `json:"waves"`
}

// DrainBlocker is something that stops the drain.
type DrainBlocker struct {
	// Kind is one of flag, budget, budgets, stale, unhealthy, replacement,
	// missing, terminating.
	Kind    string `json:"kind"`
	Object  Object `json:"object"`
	Message string `json:"message"`
	// Pods are the pods it stops, namespace/name.
	Pods []string `json:"pods"`
	// Fixes are commands, the safest first; # begins a remark.
	Fixes []string `json:"fixes"`
}

// DrainConsequence is something that breaks or is lost.
type DrainConsequence struct {
	Severity Severity `json:"severity"`
	// Kind is one of service, quorum, etcd, zone, unplaced, emptydir, volume,
	// webhook, apiservice, ingress, dns, bare, job, preemption, returns, device,
	// replica, control-plane, capacity.
	Kind    string   `json:"kind"`
	Object  Object   `json:"object"`
	Message string   `json:"message"`
	Fixes   []string `json:"fixes,omitempty"`
}

// DrainPlacement sums up where the pods would go.
type DrainPlacement struct {
	// Replaced counts the pods that come back somewhere, Placed those for which
	// a node was found, Unplaced those for which none fits.
	Replaced int `json:"replaced"`
	Placed   int `json:"placed"`
	Unplaced int `json:"unplaced"`
	Unknown  int `json:"unknown"`
	// Waiting are pods that had no node before and compete for what is free.
	Waiting []DrainWaiting `json:"waiting,omitempty"`
	// Nodes are the likely nodes, most pods first.
	Nodes []DrainTarget `json:"nodes"`
}

// DrainWaiting is a pod that waits for a node.
type DrainWaiting struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Owner     Object `json:"owner"`
	// To is the node that it finds; empty when it goes on waiting.
	To string `json:"to,omitempty"`
}

// DrainTarget is a node that takes pods up.
type DrainTarget struct {
	Name string `json:"name"`
	Zone string `json:"zone,omitempty"`
	Pods int    `json:"pods"`
	// CPU and Memory are the shares of the allocatable that is requested
	// afterwards, in percent.
	CPU    int `json:"cpuPercent"`
	Memory int `json:"memoryPercent"`
}

// DrainDuration is an estimate, with its parts, in seconds.
type DrainDuration struct {
	// Seconds is the whole; AtMost what it takes when every pod uses up its
	// grace period.
	Seconds int64 `json:"seconds"`
	AtMost  int64 `json:"atMostSeconds"`
	Waves   int   `json:"waves"`
	// Parts say what takes how long.
	Parts []DrainPart `json:"parts"`
	// ExceedsTimeout is true when --timeout would end it first.
	ExceedsTimeout bool `json:"exceedsTimeout,omitempty"`
}

// DrainPart is a part of the duration.
type DrainPart struct {
	Seconds int64  `json:"seconds"`
	What    string `json:"what"`
}

// DrainUnknown is something that could not be told.
type DrainUnknown struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	// Decides is true when the verdict depends on it.
	Decides bool `json:"decides"`
	// Allow is the RBAC rule under which it could have been read.
	Allow string `json:"allow,omitempty"`
}

// DrainPlan is the order in which many nodes can be drained.
type DrainPlan struct {
	// Steps follow each other; the nodes of one are drained at the same time
	// and are back before the next begins.
	Steps []DrainStep `json:"steps"`
	// Moves counts the pods that move, over all steps.
	Moves int `json:"moves"`
	// Seconds is the estimated time of all steps, maintenance itself aside.
	Seconds int64 `json:"seconds"`
	// Surge is the greatest capacity that has to be added for the plan to work.
	Surge *DrainSurge `json:"surge,omitempty"`
	// Stuck are nodes that no step can drain.
	Stuck []DrainStuck `json:"stuck"`
}

// DrainStep is a set of nodes that can be drained at the same time.
type DrainStep struct {
	Nodes   []string `json:"nodes"`
	Zones   []string `json:"zones,omitempty"`
	Pods    int      `json:"pods"`
	Waves   int      `json:"waves"`
	Seconds int64    `json:"seconds"`
	// Limit says what keeps the step from being larger.
	Limit string `json:"limit"`
}

// DrainSurge is capacity to add before draining.
type DrainSurge struct {
	Pods   int    `json:"pods"`
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	Where  string `json:"where"`
}

// DrainStuck is a node that cannot be drained.
type DrainStuck struct {
	Node   string   `json:"node"`
	Reason string   `json:"reason"`
	Fixes  []string `json:"fixes,omitempty"`
}

// DeepCopyObject makes a DrainCheck printable by kubectl's printers.
func (d *DrainCheck) DeepCopyObject() runtime.Object {
	clone := *d
	clone.Nodes = append([]DrainNode(nil), d.Nodes...)
	clone.Pods = append([]DrainPod(nil), d.Pods...)
	clone.Budgets = append([]DrainBudget(nil), d.Budgets...)
	clone.Blockers = append([]DrainBlocker(nil), d.Blockers...)
	clone.Consequences = append([]DrainConsequence(nil), d.Consequences...)
	clone.Placement.Nodes = append([]DrainTarget(nil), d.Placement.Nodes...)
	clone.Duration.Parts = append([]DrainPart(nil), d.Duration.Parts...)
	clone.Unknowns = append([]DrainUnknown(nil), d.Unknowns...)
	if d.Plan != nil {
		plan := *d.Plan
		plan.Steps = append([]DrainStep(nil), d.Plan.Steps...)
		plan.Stuck = append([]DrainStuck(nil), d.Plan.Stuck...)
		clone.Plan = &plan
	}
	return &clone
}

// DrainWatch is one look of `kubectl prod drain-check --watch`.
type DrainWatch struct {
	metav1.TypeMeta `json:",inline"`

	Time  metav1.Time `json:"time"`
	Nodes []DrainNode `json:"nodes"`
	// Pods are those that a drain has still to take, and those on their way.
	Pods []DrainWaitingPod `json:"pods"`
	// Gone counts the pods that went since the first look.
	Gone int `json:"gone"`
}

// DrainWaitingPod is a pod that a running drain has not finished with.
type DrainWaitingPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Node      string `json:"node"`
	// State is "ending", "to go" or "waiting".
	State string `json:"state"`
	// For says what it waits for, Budget which budget that is.
	For    string `json:"for"`
	Budget string `json:"budget,omitempty"`
	// Since is when it was first seen in that state by this watch; of a pod
	// that is ending, when that began.
	Since metav1.Time `json:"since"`
	// Release are the commands that would let it go.
	Release []string `json:"release,omitempty"`
}

// DeepCopyObject makes a DrainWatch printable by kubectl's printers.
func (d *DrainWatch) DeepCopyObject() runtime.Object {
	clone := *d
	clone.Nodes = append([]DrainNode(nil), d.Nodes...)
	clone.Pods = append([]DrainWaitingPod(nil), d.Pods...)
	return &clone
}
