package plane

import (
	"fmt"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// users are the components that have a kubeconfig of their own, by its name.
// KWOK plays every node and therefore needs what all kubelets may do together.
func users() map[string]pki.User {
	return map[string]pki.User{
		"controller-manager": {Name: "system:kube-controller-manager"},
		"scheduler":          {Name: "system:kube-scheduler"},
		"metrics-server":     {Name: "system:metrics-server"},
		"kwok":               {Name: "kwok-controller", Groups: []string{"system:masters"}},
	}
}

func writeKubeconfigs(dir state.Dir, settings state.Settings) error {
	server := fmt.Sprintf("https://127.0.0.1:%d", settings.Ports[portAPIServer])
	target := pki.Target{Context: dir.Context(), Server: server}
	admin := pki.User{Name: "kubernetes-admin", Groups: []string{"system:masters"}}
	if err := dir.PKI().EnsureKubeconfig(dir.Kubeconfig(), target, admin); err != nil {
		return err
	}
	for component, user := range users() {
		if err := dir.PKI().EnsureKubeconfig(dir.ComponentKubeconfig(component), target, user); err != nil {
			return err
		}
	}
	return nil
}
