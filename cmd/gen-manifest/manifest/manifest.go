// Package manifest writes the manifest by which krew installs the plugin.
package manifest

import (
	"fmt"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/krew/pkg/constants"
	"sigs.k8s.io/krew/pkg/index"
)

const (
	// Name is the plugin's name in krew: `kubectl krew install prod`.
	Name     = "prod"
	homepage = "https://github.com/kubectl-prod/kubectl-prod"
)

// shortDescription is a line of `kubectl krew search`; krew's reviewers ask
// for at most 50 characters.
const shortDescription = "Review, harden, back up and drain a cluster"

// description is wrapped at 80, as `kubectl krew info` shows it.
const description = `For the people who keep Kubernetes running; nothing is installed in the cluster.

doctor finds what is not production-grade in the current cluster, or in
manifests before they reach one, and what is on fire: missing limits, budgets
and probes, security holes, crash loops, certificates about to expire. It
names the worst first, says what to type next, and tells what it could not
check.

harden mends it, one reviewed change at a time: tried on the API server, shown
as a diff, asked for, watched, and rolled back where it goes wrong.

backup-etcd saves etcd, encrypted where wanted, and proves the save by
restoring it, with keys that never leave the node.

drain-check says, before a drain, what would block it, where the scheduler
would put the pods, what would break and how long it would take.
`

// caveats are shown after the installation. krew links the plugin alone, so
// that completion takes a second link, which the plugin makes itself; it points
// to the first and so survives upgrades.
const caveats = `To complete commands, practices, nodes and namespaces with the tab key
(kubectl 1.26 or later, with kubectl's own completion set up):

  kubectl prod completion --install

Then start with:

  kubectl prod doctor
`

// Plugin is the manifest of a version, "v1.2.3", for platforms whose archives
// have the given checksums.
func Plugin(version string, sums Checksums, platforms []Platform) (*index.Plugin, error) {
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(version) {
		return nil, fmt.Errorf("version %q: want v1.2.3", version)
	}
	plugin := &index.Plugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: constants.CurrentAPIVersion, Kind: constants.PluginKind},
		ObjectMeta: metav1.ObjectMeta{Name: Name},
		Spec: index.PluginSpec{
			Version:          version,
			Homepage:         homepage,
			ShortDescription: shortDescription,
			Description:      description,
			Caveats:          caveats,
		},
	}
	for _, p := range platforms {
		archive := p.Archive(version)
		sum, ok := sums[archive]
		if !ok {
			return nil, fmt.Errorf("no checksum of %s", archive)
		}
		plugin.Spec.Platforms = append(plugin.Spec.Platforms, index.Platform{
			URI:      homepage + "/releases/download/" + version + "/" + archive,
			Sha256:   sum,
			Bin:      p.Binary(),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": p.OS, "arch": p.Arch}},
		})
	}
	return plugin, nil
}
