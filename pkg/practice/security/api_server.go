package security

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// apiServer is one API server and the flags that it was started with.
type apiServer struct {
	pod   string
	flags map[string]string
}

// apiServers are the API servers that run as pods and show their flags, as
// kubeadm, kind and RKE2 start them.
func apiServers(s *cluster.Snapshot) []apiServer {
	var servers []apiServer
	for _, w := range s.WorkloadsIn("kube-system") {
		for _, pod := range w.Pods {
			if pod.Labels["component"] != "kube-apiserver" {
				continue
			}
			at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "kube-apiserver" })
			if at >= 0 {
				c := pod.Spec.Containers[at]
				servers = append(servers, apiServer{pod.Name, flagsOf(slices.Concat(c.Command, c.Args))})
			}
		}
	}
	return servers
}

// flagsOf reads --name=value, --name value and --name.
func flagsOf(arguments []string) map[string]string {
	flags := map[string]string{}
	for i, argument := range arguments {
		name, isFlag := strings.CutPrefix(argument, "--")
		if !isFlag {
			continue
		}
		name, value, assigned := strings.Cut(name, "=")
		if !assigned && i+1 < len(arguments) && !strings.HasPrefix(arguments[i+1], "--") {
			value = arguments[i+1]
		}
		flags[name] = value
	}
	return flags
}

// eachAPIServer judges the flags of the API servers. The finding is on the
// cluster: its API servers are to be the same, and whose it is decides.
func eachAPIServer(wrong func(flags map[string]string) string) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		servers := apiServers(s)
		if len(servers) == 0 {
			return practice.Verdict{NotChecked: "no pod shows the API server's flags: its provider runs it, or it runs outside pods"}
		}
		v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
		var said string
		var failing []string
		for _, server := range servers {
			if text := wrong(server.flags); text != "" {
				said = text
				failing = append(failing, server.pod)
			}
		}
		if len(failing) > 0 {
			slices.Sort(failing)
			v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "%s (%d of %d API servers: %s)", said, len(failing), len(servers), strings.Join(failing, ", ")))
		}
		return v
	}
}
