// Package mend holds what the remedies of several chapters are made of: who may
// be edited, how a path into a pod template is written, and the objects that
// more than one remedy creates.
package mend

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// Proposer is the function of a Remedy.
type Proposer = func(*cluster.Snapshot, practice.Finding) practice.Proposal

// Workload proposes for findings on workloads, and refuses by itself where the
// workload is not one that a person edits.
func Workload(propose func(*cluster.Snapshot, *cluster.Workload, practice.Finding) practice.Proposal) Proposer {
	return func(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
		w := s.WorkloadByRef(f.Object)
		if why := Untouchable(s, w); why != "" {
			return practice.Refuse("%s", why)
		}
		return propose(s, w, f)
	}
}

// Container proposes for findings on one container, which their path names.
func Container(propose func(*cluster.Snapshot, cluster.Container, practice.Finding) practice.Proposal) Proposer {
	return Workload(func(s *cluster.Snapshot, w *cluster.Workload, f practice.Finding) practice.Proposal {
		for c := range w.Containers() {
			if strings.HasPrefix(f.Path, c.Path+".") {
				return propose(s, c, f)
			}
		}
		return practice.Refuse("the container is not in the template of %s: admission added it", w.Self)
	})
}

// Untouchable says why a Workload's template and count are not to be edited; ""
// when they may be.
func Untouchable(s *cluster.Snapshot, w *cluster.Workload) string {
	switch {
	case w == nil:
		return "the object is not among what was read"
	case w.IsStatic():
		return "its node's kubelet runs it from a file, which no request can change"
	case w.Owner != w.Self:
		return fmt.Sprintf("%s %s makes it, and would undo the change: change it there", w.Owner.Kind, w.Owner.Name)
	case w.Meta.DeletionTimestamp != nil:
		return "it is being deleted"
	case w.Self.Kind != "Pod" && w.TemplatePath == "spec":
		return "its template could not be read, only its pods"
	}
	switch w.Self.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "CronJob":
		return ""
	case "Job", "Pod":
		if s.Origin.Live {
			return "the template of a " + w.Self.Kind + " cannot be changed in a cluster: change what creates it"
		}
		return ""
	}
	return "it is a custom resource, and how its controller takes a change is not known: change it by hand"
}

// InTemplate is the path to a field of a Workload's pod spec.
func InTemplate(w *cluster.Workload, fields ...any) []any {
	var path []any
	for name := range strings.SplitSeq(w.TemplatePath, ".") {
		path = append(path, name)
	}
	return append(path, fields...)
}

// InContainer is the path to a field of a container.
func InContainer(c cluster.Container, fields ...any) []any {
	list := "containers"
	if strings.Contains(c.Path, ".initContainers[") {
		list = "initContainers"
	}
	return InTemplate(c.Workload, append([]any{list, change.Item("name", c.Name)}, fields...)...)
}

// Edit is a Change of a Workload's own object.
func Edit(w *cluster.Workload, edits ...change.Edit) change.Change {
	return change.Change{Object: w.Self, Edits: edits}
}

// Selector is a Workload's own selector of its pods as an object holds it: its
// Selector or, where it has none, nothing that could be relied on.
func Selector(w *cluster.Workload) map[string]any {
	if w.Selector == nil {
		return nil
	}
	return AsMap(w.Selector)
}

// AsMap is an API type as the fields of an object.
func AsMap(typed any) map[string]any {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil // only types that are no API types fail
	}
	return fields
}

// Before reports whether the API server is known to be older than a release
// such as "1.30".
func Before(s *cluster.Snapshot, release string) bool {
	server, err := version.ParseGeneric(s.Origin.Version)
	return err == nil && server.LessThan(version.MustParseGeneric(release))
}

// IsMadeByController reports whether a controller keeps the object as it is.
func IsMadeByController(meta metav1.Object) string {
	if owner := metav1.GetControllerOf(meta); owner != nil {
		return owner.Kind + " " + owner.Name
	}
	return ""
}

// Names are the names of Workloads, as many as fit a sentence.
func Names(workloads []*cluster.Workload) string {
	const most = 3
	var names []string
	for _, w := range workloads {
		names = append(names, w.Self.String())
	}
	slices.Sort(names)
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
