package security

import (
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ImageDigestUnpinned finds images that are named and not fixed.
//
// A tag is a name that its registry's owner, or who stole their password, can
// give to another image. A digest is the image. It is judged only when asked
// for: without a tool that keeps digests up to date, pinned images grow old.
// https://kubernetes.io/docs/concepts/containers/images/
func ImageDigestUnpinned() practice.Practice {
	return practice.Practice{
		ID:       "image-digest-unpinned",
		Title:    "Image named by its tag alone",
		Chapter:  practice.Security,
		Severity: report.Info,
		Optional: true,
		Reason: "A tag is a name that the owner of its registry, or who stole their password, can give to another image. A digest is the image. " +
			"Pin digests where a tool such as Renovate keeps them up to date; without one, pinned images grow old.",
		Judged: "Each container's image, init containers included: a digest must be there. Images that image-tag-mutable names are not told twice.",
		Fix:    "name the digest beside the tag: image: name:1.2.3@sha256:…",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/containers/images/#image-names",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			if c.Image == "" || strings.Contains(c.Image, "@") || mutability(c.Image) != "" {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".image", "container %q runs %q, which names no digest", c.Name, c.Image)}
		}),
	}
}
