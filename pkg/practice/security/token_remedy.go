package security

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// dropToken keeps the API server's token out of pods that have no rights there.
func dropToken(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	name := cmp.Or(w.Template.Spec.ServiceAccountName, w.Template.Spec.DeprecatedServiceAccount, defaultAccount)
	bound := boundAccounts(s)
	switch {
	case !s.WasRead(cluster.ClusterBindings) || !s.WasRead(cluster.RoleBindings):
		return practice.Refuse("whether a role is bound to service account %q could not be read", name)
	case bound[accountRef(w.Self.Namespace, name)]:
		return practice.Refuse("a role is bound to service account %q: it may use its token; give it an account of its own with what it needs", name)
	case bound[accountRef(w.Self.Namespace, "")], bound[accountRef("", "")]:
		return practice.Refuse("a role is bound to all service accounts: it may use its token")
	}
	if sign := usesToken(w); sign != "" {
		return practice.Refuse("%s: its token is used", sign)
	}
	proposal := practice.Propose(mend.Edit(w, change.Set(false, mend.InTemplate(w, "automountServiceAccountToken")...))).
		Risking("a program that only asks the API server what every account may ask (its version, what it serves) gets 401")
	if !s.Origin.Live {
		return proposal.Because("no binding in these manifests names service account %q; those of the cluster are not known", name)
	}
	return proposal.Because("no role is bound to service account %q, nor to all accounts of namespace %s", name, w.Self.Namespace)
}

// usesToken names a sign that somebody in the pod uses the account's token for
// another purpose than the Kubernetes API, or brings a program that does.
func usesToken(w *cluster.Workload) string {
	for _, annotation := range []string{"vault.hashicorp.com/agent-inject", "vault.security.banzaicloud.io/vault-addr", "conjur.org/container-mode", "dapr.io/enabled"} {
		if value := w.Template.Annotations[annotation]; value != "" && value != "false" {
			return "annotation " + annotation
		}
	}
	for c := range w.Containers() {
		for _, mount := range c.VolumeMounts {
			if strings.HasPrefix(mount.MountPath, "/var/run/secrets/kubernetes.io") {
				return "container \"" + c.Name + "\" mounts " + mount.MountPath
			}
		}
		settings := slices.Concat(c.Command, c.Args)
		for _, env := range c.Env {
			settings = append(settings, env.Name, env.Value)
		}
		for _, setting := range settings {
			if strings.Contains(setting, "secrets/kubernetes.io/serviceaccount") || strings.Contains(setting, "KUBERNETES_SERVICE_HOST") || setting == "KUBE_CONFIG" {
				return "container \"" + c.Name + "\" names it in its settings"
			}
		}
	}
	return ""
}
