// Package system recognises the systems around a cluster: from the APIs it
// serves and the images it runs, never from names alone.
package system

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// System is how a system is recognised.
type System struct {
	Name string
	// APIs are resources of its own, "applications.argoproj.io".
	APIs []string
	// Images are parts of its images' repositories, "argoproj/argocd". The
	// version is the tag of the first that runs.
	Images []string
	// Effect says what it changes for the practices.
	Effect string
}

// Needs are the kinds that recognising takes.
func Needs() []cluster.Kind {
	return append(cluster.WorkloadKinds(), cluster.Nodes, cluster.ConfigMaps)
}

// Find recognises the systems of a Snapshot: the distribution first, then in
// the order of the guide.
func Find(s *cluster.Snapshot) *report.Systems {
	found := &report.Systems{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Systems"},
		Items:    []report.System{distribution(s)},
	}
	images := running(s)
	for _, system := range known() {
		if item, ok := system.find(s, images); ok {
			found.Items = append(found.Items, item)
		}
	}
	return found
}

// part is a Workload that runs an image.
type part struct {
	workload *cluster.Workload
	image    string
}

// running are all images that run, each with its Workload.
func running(s *cluster.Snapshot) []part {
	var parts []part
	for _, w := range s.Workloads() {
		for c := range w.Containers() {
			if !c.Init {
				parts = append(parts, part{w, c.Image})
			}
		}
	}
	return parts
}

// find looks for one system.
func (system System) find(s *cluster.Snapshot, running []part) (report.System, bool) {
	item := report.System{Name: system.Name, Effect: system.Effect, Health: "its API only"}
	for _, api := range system.APIs {
		if s.Serves(api) {
			item.Evidence = append(item.Evidence, "API "+api)
		}
	}
	var workloads []*cluster.Workload
	for _, image := range system.Images {
		for _, part := range running {
			if !runs(part.image, image) {
				continue
			}
			item.Version = cmp.Or(item.Version, tag(part.image))
			if !slices.Contains(workloads, part.workload) {
				workloads = append(workloads, part.workload)
				item.Evidence = append(item.Evidence, fmt.Sprintf("%s in %s", part.workload.Owner, cmp.Or(part.workload.Owner.Namespace, "the cluster")))
			}
		}
	}
	if len(workloads) > 0 {
		item.Health = health(workloads)
	}
	return item, len(item.Evidence) > 0
}

// runs reports whether an image is of a repository: the part has to match
// whole path segments from the end.
func runs(image, repository string) bool {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return name == repository || strings.HasSuffix(name, "/"+repository)
}

// tag is an image's tag; "" without one.
func tag(image string) string {
	name, _, _ := strings.Cut(image, "@")
	_, version, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return version
}

// health sums up the pods of a system's workloads.
func health(workloads []*cluster.Workload) string {
	ready, all := 0, 0
	for _, w := range workloads {
		wanted := len(w.Pods)
		if w.Replicas != nil {
			wanted = max(wanted, int(*w.Replicas))
		}
		all += wanted
		for _, pod := range w.Pods {
			if pod.IsReady() {
				ready++
			}
		}
	}
	switch {
	case all == 0:
		return "scaled to zero"
	case ready == all:
		return fmt.Sprintf("healthy, %d of %d pods ready", ready, all)
	default:
		return fmt.Sprintf("sick, %d of %d pods ready", ready, all)
	}
}
