package find

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEachDistributionsEtcdIsFoundOrItsOwnWayIsTold reads what such clusters have
// (testdata/*.yaml) and writes down what is made of it (testdata/found.txt).
func TestEachDistributionsEtcdIsFoundOrItsOwnWayIsTold(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var got strings.Builder
	for _, file := range files {
		target := Find(load(t, file))
		fmt.Fprintf(&got, "## %s\n%s", strings.TrimSuffix(filepath.Base(file), ".yaml"), told(target))
		if (target.Road == nil) == (len(target.Members) == 0) {
			t.Errorf("%s: neither members nor a road, or both: %+v", file, target)
		}
	}
	golden := filepath.Join("testdata", "found.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("found is\n%s\nwant\n%s(make golden writes it anew)", got.String(), want)
	}
}

func load(t *testing.T, file string) *cluster.Snapshot {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{file}, AsLive: true, Time: time.Unix(1764000000, 0)}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return s
}

// told is a target as text.
func told(target Target) string {
	var text strings.Builder
	fmt.Fprintf(&text, "distribution %s\n", target.Distribution)
	if target.EncryptionConfig != "" {
		fmt.Fprintf(&text, "encryption at rest by %s\n", target.EncryptionConfig)
	}
	for _, m := range target.Members {
		fmt.Fprintf(&text, "member %s, pod %s/%s on node %s, ready %v\n", m.Name, m.Namespace, m.Pod, m.Node, m.Ready)
		fmt.Fprintf(&text, "  image %s, user %s, quota %q, token %s\n", m.Image, user(m.User), m.Quota, m.ClusterToken)
		fmt.Fprintf(&text, "  client %s, peer %s, data on the node %s\n", m.ClientURL, m.PeerURL, m.DataDir)
		fmt.Fprintf(&text, "  ca %s, cert %s, key %s\n", m.CA, m.Cert, m.Key)
		for _, mount := range m.Mounts {
			at := slices.IndexFunc(m.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
			fmt.Fprintf(&text, "  mounts %s of the node at %s, read-only %v\n", m.Volumes[at].HostPath.Path, mount.MountPath, mount.ReadOnly)
		}
	}
	for _, warning := range target.Warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	if target.Road != nil {
		fmt.Fprintln(&text, target.Road.Error())
	}
	return text.String() + "\n"
}

func user(security *corev1.PodSecurityContext) string {
	if security == nil || security.RunAsUser == nil {
		return "the image's own"
	}
	return fmt.Sprint(*security.RunAsUser)
}
