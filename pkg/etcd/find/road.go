package find

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// road is how a distribution with an etcd of its own kind is backed up; nil for
// those with static pods.
func road(distribution string, s *cluster.Snapshot) *Road {
	const verify = "kubectl prod backup-etcd verify FILE   # then prove what it wrote"
	switch distribution {
	case "EKS", "GKE", "AKS":
		return &Road{Why: "this is " + distribution + ": the provider owns etcd and nobody else reaches it; back up the cluster's objects and volumes with Velero instead (https://velero.io)"}
	case "K3s", "RKE2":
		program := strings.ToLower(distribution)
		if etcdNode(s) == nil {
			return &Road{Why: "this " + distribution + " keeps its state in SQLite or in an external database, not in etcd: back up that database"}
		}
		return &Road{
			Why: fmt.Sprintf("this is %s, which takes snapshots itself, on the node%s", distribution, newest(s)),
			Commands: []string{
				fmt.Sprintf("ssh %s sudo %s etcd-snapshot save", address(etcdNode(s)), program),
				"kubectl get etcdsnapshotfiles   # where they are kept",
				verify + "; keep the server's token with it",
			},
		}
	case "MicroK8s":
		return &Road{
			Why:      "this is MicroK8s, which keeps its state in dqlite, not in etcd",
			Commands: []string{fmt.Sprintf("ssh %s sudo microk8s dbctl backup -o /var/tmp/microk8s-backup.tar.gz", address(firstNode(s)))},
		}
	case "Talos":
		return &Road{
			Why:      "this is Talos, whose etcd is reached through the Talos API alone",
			Commands: []string{fmt.Sprintf("talosctl --nodes %s etcd snapshot etcd.snapshot.db", address(controlPlane(s))), verify},
		}
	case "OpenShift":
		return &Road{
			Why: "this is OpenShift, whose own script saves etcd with the resources of its static pods",
			Commands: []string{
				fmt.Sprintf("oc debug node/%s -- chroot /host /usr/local/bin/cluster-backup.sh /home/core/assets/backup", nodeName(controlPlane(s))),
				verify,
			},
		}
	default:
		return etcdManager(s)
	}
}

// etcdManager is the road of kOps, whose etcd-manager starts etcd itself, from no
// image, and backs it up to a store of its own.
func etcdManager(s *cluster.Snapshot) *Road {
	for _, pod := range static(s) {
		if pod.Labels["k8s-app"] != "etcd-manager-main" {
			continue
		}
		for _, c := range pod.Spec.Containers {
			if flags, runs := flagsOf(c, "etcd-manager"); runs && flags["backup-store"] != "" {
				return &Road{
					Why:      "this is kOps, whose etcd-manager backs etcd up by itself, to " + flags["backup-store"],
					Commands: []string{"etcd-manager-ctl --backup-store=" + flags["backup-store"] + " list-backups   # and restore-backup NAME"},
				}
			}
		}
	}
	return nil
}

// outside is for etcd that no pod shows: where the API server finds it, if its own
// pod tells.
func outside(s *cluster.Snapshot, server map[string]string) *Road {
	if pods := s.Coverage(cluster.Pods); pods.State != cluster.Read {
		return &Road{Why: fmt.Sprintf("cannot tell where etcd runs, pods are %s: %s", pods.State, pods.Reason)}
	}
	road := &Road{Why: fmt.Sprintf("no etcd among %d static pods: this cluster's etcd runs outside it, and --endpoints with --cacert, --cert and --key reaches it", len(static(s)))}
	if server["etcd-servers"] == "" {
		return road
	}
	road.Why += "; its API server does so with these files of its node"
	command := []string{"kubectl prod backup-etcd --endpoints", server["etcd-servers"]}
	for _, file := range []struct{ flag, of string }{{"--cacert", "etcd-cafile"}, {"--cert", "etcd-certfile"}, {"--key", "etcd-keyfile"}} {
		if server[file.of] != "" {
			command = append(command, file.flag, server[file.of])
		}
	}
	road.Commands = []string{strings.Join(command, " ")}
	return road
}

// newest tells of the newest snapshot that K3s or RKE2 recorded.
func newest(s *cluster.Snapshot) string {
	if len(s.EtcdSnapshots) == 0 {
		return " (none is recorded yet)"
	}
	latest := s.EtcdSnapshots[0]
	for _, snapshot := range s.EtcdSnapshots {
		if snapshot.CreationTimestamp.After(latest.CreationTimestamp.Time) {
			latest = snapshot
		}
	}
	return fmt.Sprintf(" (%d are recorded, the newest %s of %s)", len(s.EtcdSnapshots), latest.Name, latest.CreationTimestamp.UTC().Format("2006-01-02 15:04 MST"))
}

func withLabel(s *cluster.Snapshot, labels ...string) *corev1.Node {
	for _, node := range s.Nodes {
		for _, label := range labels {
			if _, is := node.Labels[label]; is {
				return node
			}
		}
	}
	return nil
}

func etcdNode(s *cluster.Snapshot) *corev1.Node { return withLabel(s, "node-role.kubernetes.io/etcd") }

func controlPlane(s *cluster.Snapshot) *corev1.Node {
	if node := withLabel(s, "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"); node != nil {
		return node
	}
	return firstNode(s)
}

func firstNode(s *cluster.Snapshot) *corev1.Node {
	if len(s.Nodes) == 0 {
		return nil
	}
	return s.Nodes[0]
}

func nodeName(node *corev1.Node) string {
	if node == nil {
		return "CONTROL-PLANE-NODE"
	}
	return node.Name
}

// address is where a node is reached.
func address(node *corev1.Node) string {
	if node == nil {
		return "CONTROL-PLANE-NODE"
	}
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return node.Name
}
