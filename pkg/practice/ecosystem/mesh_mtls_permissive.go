package ecosystem

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// istioRoot is the namespace whose policies hold for the whole mesh, unless
// meshConfig.rootNamespace says otherwise.
const istioRoot = "istio-system"

// MeshMTLSPermissive finds meshes that also take plain text.
//
// https://istio.io/latest/docs/concepts/security/#peer-authentication
func MeshMTLSPermissive() practice.Practice {
	return practice.Practice{
		ID:       "mesh-mtls-permissive",
		Title:    "Service mesh that accepts plain text",
		Chapter:  practice.Ecosystem,
		Severity: report.Warning,
		Reason:   "In permissive mode a proxy takes whatever comes. Anybody in the cluster's network who does without a certificate talks to the service as before, and no policy knows who it was.",
		Judged: "Each namespace with pods of Istio's proxy: the mode of the PeerAuthentication that holds for it, its own without a selector, else the mesh's (in istio-system), else PERMISSIVE, which is Istio's default; " +
			"and PeerAuthentications for some pods or ports that are not STRICT. Of Linkerd, the default inbound policy that its proxies run with: all-unauthenticated is an info, since Servers and their policies may restrict it.",
		Fix:      "once every client has a proxy, set mtls.mode: STRICT in a PeerAuthentication of the namespace, or of istio-system for all",
		Sources:  []string{"https://istio.io/latest/docs/concepts/security/#peer-authentication", "https://linkerd.io/2/features/server-policy/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.PeerAuthentications},
		Uses:     []cluster.Kind{cluster.Namespaces},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, name := range s.PopulatedNamespaces() {
				istio, linkerd := proxiesIn(s, name)
				if istio+len(linkerd) == 0 {
					continue
				}
				ref := practice.NamespaceRef(name)
				v.Judged = append(v.Judged, ref)
				if mode, from := modeOf(s, name); istio > 0 && mode != "STRICT" {
					v.Findings = append(v.Findings, practice.On(ref, "", "%d pods with Istio's proxy take connections without mutual TLS: %s%s", istio, mode, from))
				}
				if open := count(linkerd, "all-unauthenticated"); open > 0 {
					v.Findings = append(v.Findings, practice.On(ref, "", "%d pods with Linkerd's proxy take unauthenticated connections (default inbound policy all-unauthenticated)", open).As(report.Info).
						Mended("annotate the namespace config.linkerd.io/default-inbound-policy: all-authenticated, and restart its pods"))
				}
			}
			for _, policy := range s.System(cluster.PeerAuthentications) {
				ref := cluster.RefTo(policy)
				v.Judged = append(v.Judged, ref)
				v.Findings = append(v.Findings, loosened(policy, ref)...)
			}
			return v
		},
	}
}

// proxiesIn counts the pods of a namespace with Istio's proxy, and tells the
// default policy of each with Linkerd's.
func proxiesIn(s *cluster.Snapshot, namespace string) (istio int, linkerd []string) {
	for _, w := range s.WorkloadsIn(namespace) {
		for _, pod := range w.Pods {
			if !isLive(pod) || meshControl(w) {
				continue
			}
			if containerOf(pod, istioProxy) != nil {
				istio++
			}
			if proxy := containerOf(pod, linkerdProxy); proxy != nil {
				at := slices.IndexFunc(proxy.Env, func(e corev1.EnvVar) bool { return e.Name == "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY" })
				if at >= 0 {
					linkerd = append(linkerd, proxy.Env[at].Value)
				}
			}
		}
	}
	return istio, linkerd
}

// modeOf is the mode that holds for a namespace, and from where.
func modeOf(s *cluster.Snapshot, namespace string) (mode, from string) {
	for _, where := range []string{namespace, istioRoot} {
		for _, policy := range s.System(cluster.PeerAuthentications) {
			_, selects, _ := unstructured.NestedMap(policy.Object, "spec", "selector")
			mode, _, _ := unstructured.NestedString(policy.Object, "spec", "mtls", "mode")
			if policy.GetNamespace() == where && !selects && mode != "" && mode != "UNSET" {
				return mode, " by PeerAuthentication " + where + "/" + policy.GetName()
			}
		}
	}
	return "PERMISSIVE", ", the default, since no PeerAuthentication says otherwise"
}

// loosened tells of a policy for some pods or ports that is not strict.
func loosened(policy *unstructured.Unstructured, ref cluster.Ref) []practice.Finding {
	if _, selects, _ := unstructured.NestedMap(policy.Object, "spec", "selector"); !selects {
		return nil // its namespace's finding
	}
	var said []string
	if mode, _, _ := unstructured.NestedString(policy.Object, "spec", "mtls", "mode"); mode == "PERMISSIVE" || mode == "DISABLE" {
		said = append(said, "mode "+mode)
	}
	ports, _, _ := unstructured.NestedMap(policy.Object, "spec", "portLevelMtls")
	for port, settings := range ports {
		fields, _ := settings.(map[string]any)
		if mode, _ := fields["mode"].(string); mode == "PERMISSIVE" || mode == "DISABLE" {
			said = append(said, "port "+port+" "+mode)
		}
	}
	if len(said) == 0 {
		return nil
	}
	slices.Sort(said)
	return []practice.Finding{practice.On(ref, "spec", "lets plain text through to the pods that it selects: %s", strings.Join(said, ", "))}
}

func count(all []string, wanted string) int {
	n := 0
	for _, one := range all {
		if one == wanted {
			n++
		}
	}
	return n
}
