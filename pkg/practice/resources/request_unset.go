package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// requestUnset finds the containers for which the scheduler reserves nothing
// of a resource. An init container that ends before the others start is left
// out: it runs in what the others have reserved.
func requestUnset(name corev1.ResourceName) func(*cluster.Snapshot) practice.Verdict {
	return practice.EachContainer(func(s *cluster.Snapshot, c cluster.Container) []practice.Finding {
		if _, set := s.Resources(c).Requests[name]; set || c.Init || podRequests(c.Workload, name) {
			return nil
		}
		return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".resources.requests."+string(name),
			"container %q requests no %s", c.Name, spoken(name))}
	})
}

// spoken is a resource's name in a sentence.
func spoken(name corev1.ResourceName) string {
	if name == corev1.ResourceCPU {
		return "CPU"
	}
	return string(name)
}

// requestJudged says how a request is judged.
const requestJudged = "Each container of each workload's template, sidecars included. An init container that ends before the others start is exempt: it runs in what they have reserved. " +
	"A limit (which becomes the request), a LimitRange that sets a default request in the namespace, and a request of the pod as a whole count."
