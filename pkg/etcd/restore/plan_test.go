package restore

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func member(number int) report.EtcdMember {
	name, address := fmt.Sprintf("cp-%d", number), fmt.Sprintf("https://10.0.0.1%d", number)
	return report.EtcdMember{Name: name, Node: name, PeerURLs: []string{address + ":2380"}, ClientURLs: []string{address + ":2379"}}
}

func kubeadm(members ...report.EtcdMember) *report.EtcdBackup {
	return &report.EtcdBackup{
		Time: metav1.NewTime(time.Date(2026, 8, 1, 2, 0, 0, 0, time.UTC)),
		Source: report.EtcdSource{
			Context: "prod", Distribution: "kubeadm", KubernetesVersion: "v1.37.2", EtcdVersion: "3.7.0", Members: members,
			Layout: &report.EtcdLayout{
				Image: "registry.k8s.io/etcd:3.7.0-0", DataDir: "/var/lib/etcd", ClusterToken: "etcd-cluster",
				CA: "/etc/kubernetes/pki/etcd/ca.crt", Cert: "/etc/kubernetes/pki/etcd/server.crt", Key: "/etc/kubernetes/pki/etcd/server.key",
			},
		},
		Proof:    report.EtcdProof{Verdict: report.Proven, Depth: "restore"},
		Contents: &report.EtcdContents{Kubeadm: true},
	}
}

// TestPlansAreWrittenOutInFull holds each plan, as text, to testdata/*.txt.
func TestPlansAreWrittenOutInFull(t *testing.T) {
	learner := member(4)
	learner.Learner = true
	three := kubeadm(member(1), member(2), member(3), learner)
	three.Source.Layout.EncryptionConfig = "/etc/kubernetes/enc/enc.yaml"
	three.Contents.Encrypted = []report.EtcdEncryption{{Provider: "aescbc", Key: "key1", Objects: 42}, {Provider: "kms", Key: "vault", Objects: 3}}
	three.Stored = report.StoredObject{Compression: "zstd", Encryption: "age"}
	elsewhere := kubeadm(member(1))
	elsewhere.Source.Layout.DataDir = "/mnt/etcd data/member"
	elsewhere.Proof = report.EtcdProof{Verdict: report.Differs, Reason: "at revision 7 counts differ: pods: 3 in the backup, 4 live"}
	elsewhere.Contents = nil
	unknown := &report.EtcdBackup{Proof: report.EtcdProof{Verdict: report.Proven}}
	of := func(distribution string) *report.EtcdBackup {
		b := kubeadm(member(1))
		b.Source.Distribution = distribution
		return b
	}
	for name, test := range map[string]struct {
		backup *report.EtcdBackup
		file   string
	}{
		"one-member":                   {kubeadm(member(1)), "/var/backups/etcd-3f2a9c1b-20260801T020000Z.db"},
		"three-members-encrypted":      {three, "s3://backups/prod/etcd-3f2a9c1b-20260801T020000Z.db.zst.age?endpoint=https://minio&region=eu"},
		"odd-directory-and-not-proven": {elsewhere, "it's.db"},
		"nothing-known-of-the-cluster": {unknown, "snapshot.db"},
		"k3s":                          {of("K3s"), "snapshot.db"},
		"rke2":                         {of("RKE2"), "snapshot.db"},
		"talos":                        {of("Talos"), "snapshot.db"},
		"openshift":                    {of("OpenShift"), "snapshot.db"},
		"microk8s":                     {of("MicroK8s"), "backup.tar.gz"},
	} {
		t.Run(name, func(t *testing.T) {
			got := told(Plan(test.backup, test.file))
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// told is a plan as text.
func told(p *report.RestorePlan) string {
	var text strings.Builder
	for _, warning := range p.Warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	for _, l := range p.Lacks {
		fmt.Fprintf(&text, "lacks %s: %s\n", l.What, l.Why)
	}
	for i, step := range p.Steps {
		fmt.Fprintf(&text, "\n%d. %s (%s)\n", i+1, step.Title, step.Where)
		for _, command := range step.Commands {
			fmt.Fprintln(&text, command)
		}
		if step.Note != "" {
			fmt.Fprintf(&text, "# %s\n", step.Note)
		}
	}
	return text.String()
}
