// Package restore writes down how a snapshot becomes a cluster again. It never
// does it: what runs there now would be gone.
package restore

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Plan is how to restore a backup, as its manifest describes it. file is where
// the snapshot lies.
func Plan(b *report.EtcdBackup, file string) *report.RestorePlan {
	p := &report.RestorePlan{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "RestorePlan"},
		File:     file, Source: b.Source, Verdict: b.Proof.Verdict,
	}
	if b.Proof.Verdict != report.Proven {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the verdict on this backup is %q: %s", b.Proof.Verdict, b.Proof.Reason))
	}
	if own := ownWay(b.Source.Distribution, file); own != nil {
		p.Steps = own
	} else {
		p.Steps = staticPods(b, file)
	}
	p.Lacks = lacks(b)
	return p
}

// ownWay is the road of distributions that restore by themselves.
func ownWay(distribution, file string) []report.RestoreStep {
	one := func(where string, commands ...string) []report.RestoreStep {
		return []report.RestoreStep{{Title: "Restore as " + distribution + " does", Where: where, Commands: commands}}
	}
	base := path.Base(file)
	switch distribution {
	case "K3s", "RKE2":
		program := strings.ToLower(distribution)
		service := map[string]string{"K3s": "k3s", "RKE2": "rke2-server"}[distribution]
		data := "/var/lib/rancher/" + program + "/server/db/snapshots/" + base
		return []report.RestoreStep{
			{Title: "Stop the servers", Where: "every server node", Commands: []string{"sudo systemctl stop " + service}},
			{Title: "Restore on one server", Where: "the first server node; the snapshot lies at " + data, Commands: []string{
				fmt.Sprintf("sudo %s server --cluster-reset --cluster-reset-restore-path=%s   # with the token of the old cluster", program, data), "sudo systemctl start " + service}},
			{Title: "Let the other servers join again", Where: "every other server node", Commands: []string{"sudo rm -rf /var/lib/rancher/" + program + "/server/db", "sudo systemctl start " + service}},
		}
	case "Talos":
		return one("your machine", "talosctl --nodes CONTROL-PLANE-NODE bootstrap --recover-from="+base)
	case "OpenShift":
		return one("the recovery control-plane node", "sudo -E /usr/local/bin/cluster-restore.sh /home/core/assets/backup")
	case "MicroK8s":
		return one("the node", "sudo microk8s dbctl restore "+base)
	default:
		return nil
	}
}

// work is where the snapshot lies on each node; plain is what it is called on the
// operator's machine: no name that a backup has already.
const (
	work  = "/var/lib/kubectl-prod-restore"
	plain = "to-restore.db"
)

// staticPods is the road of kubeadm and its like: every member gets the same
// snapshot, under its own name, at the same time.
func staticPods(b *report.EtcdBackup, file string) []report.RestoreStep {
	layout := b.Source.Layout
	if layout == nil {
		const pki = "/etc/kubernetes/pki/etcd/" // kubeadm's, where nothing is known
		layout = &report.EtcdLayout{CA: pki + "ca.crt", Cert: pki + "server.crt", Key: pki + "server.key"}
	}
	data := cmp.Or(layout.DataDir, "/var/lib/etcd")
	image := cmp.Or(layout.Image, "registry.k8s.io/etcd:"+cmp.Or(b.Source.EtcdVersion, "VERSION")+"-0")
	members := voters(b.Source.Members)
	every := everyNode(members)
	stopped := "/etc/kubernetes/manifests.stopped"
	steps := []report.RestoreStep{
		{
			Title: "Bring the plain snapshot to the machine you work on, and prove it once more", Where: "your machine",
			Commands: fetch(b, file),
		},
		{Title: "Copy it to " + every, Where: "your machine", Commands: each(members, func(m report.EtcdMember) []string {
			return []string{fmt.Sprintf("ssh %[1]s sudo mkdir -p -m 0700 %[2]s && ssh %[1]s 'sudo tee %[2]s/snapshot.db >/dev/null' < %[3]s", shell(m.Node), work, plain)}
		})},
		{
			Title: "Stop the API servers, controllers and etcd", Where: every,
			Commands: []string{
				"sudo mkdir -p " + stopped,
				"cd /etc/kubernetes/manifests && sudo mv kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml etcd.yaml " + stopped + "/",
				"while sudo crictl ps --quiet --name '^(etcd|kube-apiserver)$' | grep -q .; do sleep 1; done",
			},
			Note: "On all of them before the next step: one API server that still writes makes two histories.",
		},
		{
			Title: "Move the old data aside", Where: every,
			Commands: []string{fmt.Sprintf("sudo mv %s %s.before-restore", shell(data), shell(data))},
			Note:     "Where that directory is a mount of its own, move what is in it instead. Keep it until the cluster is known to be well.",
		},
	}
	for _, m := range members {
		steps = append(steps, report.RestoreStep{
			Title: "Restore member " + m.Name, Where: "node " + m.Node,
			Commands: []string{restoreCommand(m, members, data, image, layout.ClusterToken, b), // As it was: kubeadm may run etcd as a user of its own.
				fmt.Sprintf("sudo chown -R --reference=%[1]s.before-restore %[1]s && sudo chmod 0700 %[1]s", shell(data))},
		})
	}
	return append(steps,
		report.RestoreStep{
			Title: "Start etcd", Where: every,
			Commands: []string{
				"sudo mv " + stopped + "/etcd.yaml /etc/kubernetes/manifests/",
				health(members, layout),
			},
			Note: "On all of them: without a majority etcd does not answer.",
		},
		report.RestoreStep{
			Title: "Start the API servers and controllers", Where: every,
			Commands: []string{"sudo mv " + stopped + "/*.yaml /etc/kubernetes/manifests/ && sudo rmdir " + stopped},
		},
		report.RestoreStep{
			Title: "See whether the cluster is well", Where: "your machine",
			Commands: []string{"kubectl get nodes", "kubectl prod doctor --now"},
			Note:     "The revision was bumped, so that clients which saw later ones list anew instead of waiting for ever. Objects made after the snapshot are gone, while their containers may still run until the kubelets notice.",
		},
		report.RestoreStep{
			Title: "Remove the copies of the snapshot, which hold every Secret", Where: "your machine",
			Commands: append(each(members, func(m report.EtcdMember) []string {
				return []string{fmt.Sprintf("ssh %s sudo rm -r %s", shell(m.Node), work)}
			}), "rm "+plain),
		},
	)
}

// fetch makes a plain snapshot.db of what is kept.
func fetch(b *report.EtcdBackup, file string) []string {
	command := "kubectl prod backup-etcd fetch " + shell(file) + " --output-file " + plain
	if b.Stored.Encryption != "" {
		command += " --identity KEY-FILE"
	}
	return []string{command, "kubectl prod backup-etcd verify " + plain}
}

// restoreCommand runs etcdutl from the image that the node has: neither the node
// nor the image needs a shell.
func restoreCommand(m report.EtcdMember, members []report.EtcdMember, data, image, token string, b *report.EtcdBackup) string {
	var all []string
	for _, other := range members {
		all = append(all, other.Name+"="+peer(other))
	}
	parent := path.Dir(data)
	mounts := "--mount " + shell("type=bind,src="+parent+",dst="+parent+",options=rbind:rw")
	if parent != "/var/lib" {
		mounts += " --mount type=bind,src=" + work + ",dst=" + work + ",options=rbind:ro"
	}
	// Another token than the old cluster's: a member that was forgotten cannot
	// mistake this for the cluster it knew.
	token = cmp.Or(token, "etcd-cluster") + "-restored-" + b.Time.UTC().Format("20060102T150405Z")
	return strings.Join([]string{
		"sudo ctr --namespace k8s.io run --rm " + mounts + " " + shell(image) + " etcd-restore etcdutl snapshot restore " + work + "/snapshot.db",
		"  --name=" + shell(m.Name),
		"  --initial-cluster=" + shell(strings.Join(all, ",")),
		"  --initial-cluster-token=" + shell(token),
		"  --initial-advertise-peer-urls=" + shell(peer(m)),
		"  --data-dir=" + shell(data),
		"  --bump-revision 1000000000 --mark-compacted",
	}, " \\\n")
}

// health waits until all members answer, as etcdctl in one of them sees it.
func health(members []report.EtcdMember, layout *report.EtcdLayout) string {
	var urls []string
	for _, m := range members {
		if len(m.ClientURLs) > 0 {
			urls = append(urls, m.ClientURLs[0])
		}
	}
	if len(urls) == 0 {
		urls = []string{"https://127.0.0.1:2379"}
	}
	command := []string{"etcdctl", "--endpoints=" + strings.Join(urls, ",")}
	for _, file := range []struct{ flag, path string }{{"--cacert=", layout.CA}, {"--cert=", layout.Cert}, {"--key=", layout.Key}} {
		if file.path != "" {
			command = append(command, file.flag+shell(file.path))
		}
	}
	return "until sudo crictl exec \"$(sudo crictl ps --quiet --name '^etcd$')\" " + strings.Join(command, " ") + " endpoint health; do sleep 2; done"
}

func peer(m report.EtcdMember) string {
	if len(m.PeerURLs) == 0 {
		return "https://ADDRESS-OF-" + m.Node + ":2380"
	}
	return m.PeerURLs[0]
}

// voters are the members that are restored: a learner joins again.
func voters(all []report.EtcdMember) []report.EtcdMember {
	var members []report.EtcdMember
	for _, m := range all {
		if !m.Learner {
			m.Node = cmp.Or(m.Node, m.Name)
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		members = []report.EtcdMember{{Name: "MEMBER", Node: "CONTROL-PLANE-NODE"}}
	}
	return members
}

func everyNode(members []report.EtcdMember) string {
	var nodes []string
	for _, m := range members {
		nodes = append(nodes, m.Node)
	}
	if len(nodes) == 1 {
		return "node " + nodes[0]
	}
	return "nodes " + strings.Join(nodes, ", ")
}

func each(members []report.EtcdMember, commands func(report.EtcdMember) []string) []string {
	var all []string
	for _, m := range members {
		all = append(all, commands(m)...)
	}
	return all
}

// lacks is what the cluster needs and etcd does not hold.
func lacks(b *report.EtcdBackup) []report.RestoreLacks {
	var all []report.RestoreLacks
	config := "the file of --encryption-provider-config"
	if b.Source.Layout != nil && b.Source.Layout.EncryptionConfig != "" {
		config = b.Source.Layout.EncryptionConfig
	}
	if b.Contents != nil {
		for _, e := range b.Contents.Encrypted {
			what := fmt.Sprintf("key %q of provider %s, in %s", e.Key, e.Provider, config)
			if e.Provider == "kms" {
				what = fmt.Sprintf("the key service behind KMS plugin %q, and %s", e.Key, config)
			}
			all = append(all, report.RestoreLacks{What: what, Why: fmt.Sprintf("%d objects are encrypted with it: without it the backup cannot be read", e.Objects)})
		}
	}
	if len(all) == 0 && b.Source.Layout != nil && b.Source.Layout.EncryptionConfig != "" {
		all = append(all, report.RestoreLacks{What: config, Why: "the API servers are started with it"})
	}
	if own := ownLacks(b.Source.Distribution); own != nil {
		return append(all, own...)
	}
	all = append(all,
		report.RestoreLacks{What: "the PKI: ca, front-proxy-ca, etcd/ca (certificate and key each) and sa.key, sa.pub", Why: "with other authorities no node, no ServiceAccount token and no kubeconfig is known any more"},
		report.RestoreLacks{What: "the static pods' manifests and the files they mount (audit policy, admission configuration)", Why: "kubeadm can write the manifests again, with the flags that somebody remembers"},
	)
	if b.Contents != nil && b.Contents.Kubeadm {
		return append(all, report.RestoreLacks{What: "nothing of kubeadm's settings: ConfigMap kube-system/kubeadm-config is in the snapshot", Why: "kubeadm init needs it as a file: save it apart, for a cluster that has no API server yet"})
	}
	return append(all, report.RestoreLacks{What: "the settings that the cluster was made with", Why: "no kubeadm-config is in the snapshot"})
}

// ownLacks is what distributions with a way of their own need.
func ownLacks(distribution string) []report.RestoreLacks {
	switch distribution {
	case "K3s", "RKE2":
		return []report.RestoreLacks{{
			What: "the servers' token, /var/lib/rancher/" + strings.ToLower(distribution) + "/server/token",
			Why:  "it encrypts the authorities that the snapshot holds: with another token no server starts from it",
		}}
	case "Talos":
		return []report.RestoreLacks{{What: "the machine configurations and the secrets bundle (talosctl gen secrets)", Why: "the PKI and the keys of data encrypted at rest are in them"}}
	case "OpenShift":
		return []report.RestoreLacks{{What: "static_kuberesources_….tar.gz, which cluster-backup.sh writes beside the snapshot", Why: "the static pods' resources and the keys of data encrypted at rest are in it"}}
	case "MicroK8s":
		return []report.RestoreLacks{{What: "/var/snap/microk8s/current/certs and credentials", Why: "with other authorities no node and no kubeconfig is known any more"}}
	default:
		return nil
	}
}

// shell quotes a word for a shell where it needs that.
func shell(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
