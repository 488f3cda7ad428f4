// Package find says where a cluster's etcd is and how it can be asked: by its
// pods' labels and flags, never by fixed paths.
package find

import (
	"cmp"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
	"github.com/kubectl-prod/kubectl-prod/pkg/system"
)

// Needs are the kinds that finding takes.
func Needs() []cluster.Kind {
	return []cluster.Kind{cluster.Pods, cluster.Nodes, cluster.Namespaces, cluster.EtcdSnapshots}
}

// Live narrows the reading of those kinds to what finding looks at. Of all pods
// static ones alone have no ServiceAccount: admission gives one to any other, and
// refuses a mirror pod with one (kubernetes: plugin/pkg/admission/serviceaccount).
func Live() cluster.Live {
	return cluster.Live{Fields: map[cluster.Kind]string{cluster.Pods: "spec.serviceAccountName="}}
}

// static are the static pods.
func static(s *cluster.Snapshot) []*cluster.Pod {
	var pods []*cluster.Pod
	for _, pod := range s.Pods {
		if _, mirrors := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirrors {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Target is a cluster's etcd.
type Target struct {
	Distribution, Version string
	// Members are its static pods; empty where there is another Road.
	Members []Member
	// EncryptionConfig is the path of --encryption-provider-config; "" where no
	// API server's pod shows one.
	EncryptionConfig string
	// Road is how such a cluster is backed up instead; nil for a helper pod.
	Road     *Road
	Warnings []string
}

// Road is another way than a helper pod: the distribution's own.
type Road struct {
	// Why this plugin does not do it, and Commands that do.
	Why      string
	Commands []string
}

// Error tells the way as one message.
func (r *Road) Error() string {
	if len(r.Commands) == 0 {
		return r.Why
	}
	return r.Why + ". Run:\n  " + strings.Join(r.Commands, "\n  ")
}

// Member is an etcd static pod.
type Member struct {
	Pod, Namespace, Node, Name, Image string
	// ClientURL is the one it advertises, PeerURL to its peers.
	ClientURL, PeerURL string
	// CA, Cert and Key are paths in its container; Volumes and Mounts are those of
	// its pod that hold them.
	CA, Cert, Key string
	Volumes       []corev1.Volume
	Mounts        []corev1.VolumeMount
	// User is whom it runs as, nil for the image's own.
	User *corev1.PodSecurityContext
	// DataDir is a path on the node.
	DataDir, ClusterToken string
	Ready                 bool
	// Quota is --quota-backend-bytes, as it stands there.
	Quota string
}

// Find looks for etcd in a Snapshot.
func Find(s *cluster.Snapshot) Target {
	made := system.Find(s).Items[0]
	t := Target{Distribution: made.Name, Version: s.Origin.Version}
	servers := apiServers(s)
	t.EncryptionConfig = servers["encryption-provider-config"]
	if servers["etcd-servers-overrides"] != "" {
		t.Warnings = append(t.Warnings, "the API server keeps some resources in another etcd, which this backup does not hold: --etcd-servers-overrides="+servers["etcd-servers-overrides"])
	}
	if t.Road = road(made.Name, s); t.Road != nil {
		return t
	}
	for _, pod := range static(s) {
		if m, is := member(pod); is {
			t.Members = append(t.Members, m)
		}
	}
	t.Members = ofTheAPIServer(t.Members, servers["etcd-servers"])
	slices.SortFunc(t.Members, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	if len(t.Members) == 0 {
		t.Road = outside(s, servers)
	}
	return t
}

// member reads a static pod that runs etcd.
func member(pod *cluster.Pod) (Member, bool) {
	for _, c := range pod.Spec.Containers {
		flags, runs := flagsOf(c, "etcd")
		if !runs || pod.Labels["component"] != "etcd" && flags["data-dir"] == "" {
			continue
		}
		m := Member{
			Pod: pod.Name, Namespace: pod.Namespace, Node: pod.Spec.NodeName, Image: c.Image,
			Name:      cmp.Or(flags["name"], "default"),
			ClientURL: first(cmp.Or(flags["advertise-client-urls"], pod.Annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"], "http://localhost:2379")),
			PeerURL:   first(cmp.Or(flags["initial-advertise-peer-urls"], "http://localhost:2380")),
			CA:        flags["trusted-ca-file"],
			// The server's certificate is a client's too: etcd's own gateway needs that,
			// or --client-cert-file.
			Cert: cmp.Or(flags["client-cert-file"], flags["cert-file"]), Key: cmp.Or(flags["client-key-file"], flags["key-file"]),
			User:    pod.Spec.SecurityContext,
			DataDir: cmp.Or(flags["data-dir"], flags["name"]+".etcd"), ClusterToken: cmp.Or(flags["initial-cluster-token"], "etcd-cluster"),
			Quota: flags["quota-backend-bytes"],
			Ready: pod.IsReady(),
		}
		m.mount(pod, c)
		m.DataDir = onNode(pod, c, m.DataDir)
		return m, true
	}
	return Member{}, false
}

// mount keeps those volumes of the pod that hold its certificates.
func (m *Member) mount(pod *cluster.Pod, c corev1.Container) {
	for _, mount := range c.VolumeMounts {
		if !slices.ContainsFunc([]string{m.CA, m.Cert, m.Key}, func(file string) bool { return file != "" && below(file, mount.MountPath) }) {
			continue
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == mount.Name && volume.HostPath != nil {
				mount.ReadOnly = true
				m.Mounts, m.Volumes = append(m.Mounts, mount), append(m.Volumes, volume)
			}
		}
	}
}

// onNode is where a path in the container lies on the node.
func onNode(pod *cluster.Pod, c corev1.Container, file string) string {
	for _, mount := range c.VolumeMounts {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == mount.Name && volume.HostPath != nil && below(file, mount.MountPath) {
				return path.Join(volume.HostPath.Path, strings.TrimPrefix(file, mount.MountPath))
			}
		}
	}
	return file
}

func below(file, directory string) bool {
	return file == directory || strings.HasPrefix(file, strings.TrimSuffix(directory, "/")+"/")
}

func first(list string) string {
	one, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(one)
}

// flagsOf are the flags of a container that runs a program, whether it is named
// in the command or in a shell's line; and its environment as etcd reads it
// (ETCD_DATA_DIR is --data-dir).
func flagsOf(c corev1.Container, program string) (flags map[string]string, runs bool) {
	flags = map[string]string{}
	for _, env := range c.Env {
		if name, is := strings.CutPrefix(env.Name, strings.ToUpper(program)+"_"); is {
			flags[strings.ReplaceAll(strings.ToLower(name), "_", "-")] = env.Value
		}
	}
	words := slices.Concat(c.Command, c.Args)
	if len(words) > 1 && strings.HasSuffix(words[0], "sh") {
		words = regexp.MustCompile(`[\s\\]+`).Split(strings.Join(words[1:], " "), -1)
	}
	for i, word := range words {
		word = strings.Trim(word, `"'`)
		runs = runs || path.Base(word) == program
		name, is := strings.CutPrefix(word, "--")
		if !is || !runs {
			continue
		}
		name, value, has := strings.Cut(name, "=")
		if !has && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		flags[name] = strings.Trim(value, `"'`)
	}
	return flags, runs
}

// apiServers are the flags of an API server's pod.
func apiServers(s *cluster.Snapshot) map[string]string {
	for _, pod := range static(s) {
		if pod.Namespace != "kube-system" || pod.Labels["component"] != "kube-apiserver" {
			continue
		}
		for _, c := range pod.Spec.Containers {
			if flags, runs := flagsOf(c, "kube-apiserver"); runs {
				return flags
			}
		}
	}
	return map[string]string{}
}

// ofTheAPIServer are the members that serve the API server, where a second etcd
// (of events, of a network plugin) runs beside them.
func ofTheAPIServer(all []Member, servers string) []Member {
	ports := map[string]bool{}
	for server := range strings.SplitSeq(servers, ",") {
		if parsed, err := url.Parse(strings.TrimSpace(server)); err == nil && parsed.Port() != "" {
			ports[parsed.Port()] = true
		}
	}
	asked := slices.DeleteFunc(slices.Clone(all), func(m Member) bool {
		parsed, err := url.Parse(m.ClientURL)
		return err != nil || !ports[parsed.Port()]
	})
	if len(asked) == 0 {
		return all
	}
	return asked
}

// Layout is what a restore plan needs of a member.
func (m Member) Layout(encryption string) *report.EtcdLayout {
	return &report.EtcdLayout{
		Image: m.Image, DataDir: m.DataDir, CA: m.CA, Cert: m.Cert, Key: m.Key,
		ClusterToken: m.ClusterToken, EncryptionConfig: encryption,
	}
}
