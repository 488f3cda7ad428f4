package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// NodeStats is what one kubelet says of its node.
type NodeStats struct {
	Disk    Usage // the file system of the kubelet and of emptyDir volumes
	Images  Usage // the container runtime's, where it is another
	Volumes []VolumeStats
}

// Usage is how much of a file system is used.
type Usage struct {
	UsedBytes, CapacityBytes int64
	Inodes, UsedInodes       int64
}

// VolumeStats is how much of a claim's volume is used.
type VolumeStats struct {
	Namespace, Claim string
	Usage
}

// KubeletConfig is what practices read of a kubelet's configuration.
type KubeletConfig struct {
	RotateCertificates bool `json:"rotateCertificates"`
	ServerTLSBootstrap bool `json:"serverTLSBootstrap"`
	ReadOnlyPort       int  `json:"readOnlyPort"`
	Authentication     struct {
		Anonymous struct {
			Enabled bool `json:"enabled"`
		} `json:"anonymous"`
	} `json:"authentication"`
	Authorization struct {
		Mode string `json:"mode"`
	} `json:"authorization"`
	TLSCertFile  string `json:"tlsCertFile"`
	FailCgroupV1 *bool  `json:"failCgroupV1"` // nil where it is not told
}

// statsLimit is how many kubelets are asked for their figures: on a large
// fleet, asking all of them would take longer than everything else together.
const statsLimit = 100

// readKubeletStats asks the kubelets of nodes that are ready, those of pods with
// claims first.
func readKubeletStats(ctx context.Context, r *reader, coverage *Coverage) error {
	all := withClaimsFirst(answering(r.snapshot.Nodes), r.snapshot.Pods)
	asked := all[:min(statsLimit, len(all))]
	err := r.eachNode(ctx, asked, "stats/summary", coverage, r.snapshot.takeStats)
	if err == nil && coverage.Reason == "" && len(asked) < len(all) {
		coverage.Reason = fmt.Sprintf("asked %d of %d kubelets, those of pods with claims first", len(asked), len(all))
	}
	return err
}

// withClaimsFirst orders nodes by whether a pod on them mounts a claim.
func withClaimsFirst(nodes []string, pods []*Pod) []string {
	mounts := map[string]bool{}
	for _, pod := range pods {
		if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }) {
			mounts[pod.Spec.NodeName] = true
		}
	}
	slices.SortStableFunc(nodes, func(a, b string) int {
		switch {
		case mounts[a] == mounts[b]:
			return 0
		case mounts[a]:
			return -1
		default:
			return 1
		}
	})
	return nodes
}

// configSample is how many kubelets are asked for their configuration: nodes of
// one pool share it.
const configSample = 20

// readKubeletConfigs asks some kubelets of each kind of node.
func readKubeletConfigs(ctx context.Context, r *reader, coverage *Coverage) error {
	return r.eachNode(ctx, sample(r.snapshot.Nodes, configSample), "configz", coverage, r.snapshot.takeConfig)
}

func (s *Snapshot) takeStats(node string, body []byte) error {
	stats, err := parseSummary(body)
	if err != nil {
		return err
	}
	if s.NodeStats == nil {
		s.NodeStats = map[string]NodeStats{}
	}
	s.NodeStats[node] = stats
	return nil
}

func (s *Snapshot) takeConfig(node string, body []byte) error {
	var answer struct {
		Config *KubeletConfig `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Config == nil {
		return errors.New("the answer holds no kubelet configuration")
	}
	if s.KubeletConfigs == nil {
		s.KubeletConfigs = map[string]KubeletConfig{}
	}
	s.KubeletConfigs[node] = *answer.Config
	return nil
}

// answering are the names of the nodes that are ready, which a proxy can reach.
func answering(nodes []*corev1.Node) []string {
	var names []string
	for _, node := range nodes {
		if slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			names = append(names, node.Name)
		}
	}
	return names
}

// sample are the names of up to n ready nodes, the first of each kind of node
// (kubelet version, image, instance type and role) before the second of any.
func sample(nodes []*corev1.Node, n int) []string {
	seen := map[[4]string]int{}
	rank := map[string]int{}
	for _, node := range nodes {
		info, role := node.Status.NodeInfo, ""
		if _, has := node.Labels["node-role.kubernetes.io/control-plane"]; has {
			role = "control-plane"
		}
		kind := [4]string{info.KubeletVersion, info.OSImage, node.Labels[corev1.LabelInstanceTypeStable], role}
		rank[node.Name] = seen[kind]
		seen[kind]++
	}
	names := answering(nodes)
	slices.SortStableFunc(names, func(a, b string) int { return rank[a] - rank[b] })
	return names[:min(n, len(names))]
}

// fileSystem is the kubelet's account of one (kubernetes:
// staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1, FsStats).
type fileSystem struct {
	Time          time.Time `json:"time"`
	CapacityBytes int64     `json:"capacityBytes"`
	UsedBytes     int64     `json:"usedBytes"`
	AvailBytes    int64     `json:"availableBytes"`
	Inodes        int64     `json:"inodes"`
	InodesUsed    int64     `json:"inodesUsed"`
}

// usage counts what is not available as used: a file system has other tenants
// than the kubelet, and reserves that nobody may use.
func (f fileSystem) usage() Usage {
	u := Usage{UsedBytes: f.UsedBytes, CapacityBytes: f.CapacityBytes, Inodes: f.Inodes, UsedInodes: f.InodesUsed}
	if f.AvailBytes > 0 && f.AvailBytes <= f.CapacityBytes {
		u.UsedBytes = f.CapacityBytes - f.AvailBytes
	}
	return u
}

func parseSummary(body []byte) (NodeStats, error) {
	var summary struct {
		Node struct {
			Fs      fileSystem `json:"fs"`
			Runtime struct {
				ImageFs fileSystem `json:"imageFs"`
			} `json:"runtime"`
		} `json:"node"`
		Pods []struct {
			Volumes []struct {
				fileSystem
				Claim *struct {
					Name      string `json:"name"`
					Namespace string `json:"namespace"`
				} `json:"pvcRef"`
			} `json:"volume"`
		} `json:"pods"`
	}
	if err := json.Unmarshal(body, &summary); err != nil {
		return NodeStats{}, err
	}
	stats := NodeStats{Disk: summary.Node.Fs.usage(), Images: summary.Node.Runtime.ImageFs.usage()}
	for _, pod := range summary.Pods {
		for _, volume := range pod.Volumes {
			if volume.Claim != nil {
				stats.Volumes = append(stats.Volumes, VolumeStats{volume.Claim.Namespace, volume.Claim.Name, volume.usage()})
			}
		}
	}
	return stats, nil
}
