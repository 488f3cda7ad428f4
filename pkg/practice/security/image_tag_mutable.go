package security

import (
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ImageTagMutable finds images that change under their name.
//
// With :latest, or no tag, which means the same, a rescheduled pod may run
// another program than its neighbour, a rollback brings nothing back, and
// nobody can tell what ran when it broke.
// https://kubernetes.io/docs/concepts/containers/images/#image-names
func ImageTagMutable() practice.Practice {
	return practice.Practice{
		ID:       "image-tag-mutable",
		Title:    "Image tagged latest, or not at all",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "With :latest, or no tag, which means the same, a rescheduled pod may run another program than its neighbour, " +
			"a rollback brings nothing back, and nobody can tell what ran when it broke.",
		Judged: "Each container's image, init containers included: a digest, or a tag other than latest, must be there.",
		Fix:    "name the release in the tag, or better pin the digest: image: name:1.2.3@sha256:…",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/containers/images/#image-names",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			said := mutability(c.Image)
			if said == "" {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".image", "container %q runs %q, %s", c.Name, c.Image, said)}
		}),
	}
}

// mutability says why an image may change under its name; "" when it may not.
func mutability(image string) string {
	if image == "" || strings.Contains(image, "@") {
		return "" // not set yet (injectors set it), or pinned by digest
	}
	// A colon before the last slash is a registry's port.
	_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	switch {
	case !tagged:
		return "which has no tag and so means latest"
	case tag == "latest":
		return "whose tag moves with each release"
	default:
		return ""
	}
}
