package security

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// AnonymousAuthOn finds API servers that talk to strangers.
//
// A request without credentials becomes the user system:anonymous. RBAC grants
// it little, until one binding too many: since 1.34 anonymous requests can be
// allowed to the health endpoints alone.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/
func AnonymousAuthOn() practice.Practice {
	return practice.Practice{
		ID:       "anonymous-auth-on",
		Title:    "API server that takes anonymous requests",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "A request without credentials becomes the user system:anonymous instead of being refused. RBAC grants it little, until one binding too many, " +
			"and every flaw before authorisation is open to whoever reaches the API server.",
		Judged: "The flags of the API servers that run as pods: --anonymous-auth=false must be set, or --authentication-config, whose file can limit anonymous requests to the health endpoints, " +
			"which cannot be seen from here.",
		Fix: "limit anonymous requests to /livez, /readyz and /healthz with an AuthenticationConfiguration, which load balancers and kubeadm join need; or set --anonymous-auth=false",
		Sources: []string{
			"https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests",
			"https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-authenticator-configuration",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Pods},
		Check: eachAPIServer(func(flags map[string]string) string {
			if flags["anonymous-auth"] == "false" || flags["authentication-config"] != "" {
				return ""
			}
			return "requests without credentials are taken (--anonymous-auth=false is not set)"
		}),
	}
}
