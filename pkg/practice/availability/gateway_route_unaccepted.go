package availability

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// GatewayRouteUnaccepted finds routes that their gateway does not take.
//
// A route names its gateway and its backends, and the gateway's controller
// answers in the route's status. Where it says no, nothing else does.
// https://gateway-api.sigs.k8s.io/guides/troubleshooting/
func GatewayRouteUnaccepted() practice.Practice {
	return practice.Practice{
		ID:       "gateway-route-unaccepted",
		Title:    "Gateway or route that carries no traffic",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A route names its gateway and its backends, and the gateway's controller answers in the route's status. Where it says no, requests get a 404 or 500 and nothing else tells.",
		Judged: "Each Gateway whose condition Programmed is not true, and each HTTPRoute and GRPCRoute of which a parent does not accept it or cannot resolve its references; " +
			"also one that no controller has answered 2 minutes after it was made.",
		Fix: "read the condition's message: kubectl describe",
		Sources: []string{
			"https://gateway-api.sigs.k8s.io/geps/gep-1364/",
			"https://gateway-api.sigs.k8s.io/api-types/httproute/",
		},
		LiveOnly: true,
		Judges:   []cluster.Kind{cluster.Gateways, cluster.HTTPRoutes, cluster.GRPCRoutes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, gateway := range s.System(cluster.Gateways) {
				ref := cluster.RefTo(gateway)
				v.Judged = append(v.Judged, ref)
				v.Findings = append(v.Findings, unmet(s, ref, gateway, gateway.Object, "status.conditions", "Programmed")...)
			}
			for _, kind := range []cluster.Kind{cluster.HTTPRoutes, cluster.GRPCRoutes} {
				for _, route := range s.System(kind) {
					v.Judged = append(v.Judged, cluster.RefTo(route))
					v.Findings = append(v.Findings, refused(s, route)...)
				}
			}
			return v
		},
	}
}

// refused are what a route's parents say against it.
func refused(s *cluster.Snapshot, route *unstructured.Unstructured) []practice.Finding {
	ref := cluster.RefTo(route)
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	if len(parents) == 0 {
		if s.Time.Sub(route.GetCreationTimestamp().Time) < settling {
			return nil
		}
		return []practice.Finding{practice.On(ref, "status.parents", "no gateway has answered it: its parentRefs name none that exists, or no controller runs")}
	}
	var findings []practice.Finding
	for _, parent := range parents {
		status, _ := parent.(map[string]any)
		findings = append(findings, unmet(s, ref, route, map[string]any{"status": status}, "status.parents", "Accepted", "ResolvedRefs")...)
	}
	return findings
}

// unmet are the conditions of the given types that are not true.
func unmet(s *cluster.Snapshot, ref cluster.Ref, object *unstructured.Unstructured, within map[string]any, path string, types ...string) []practice.Finding {
	var findings []practice.Finding
	for _, kind := range types {
		c, found := cluster.ConditionOf(within, kind)
		switch {
		case !found && s.Time.Sub(object.GetCreationTimestamp().Time) < settling:
		case !found && kind == "Programmed":
			findings = append(findings, practice.On(ref, path, "no controller has programmed it"))
		case found && c.Status == "False":
			findings = append(findings, practice.On(ref, path, "%s is false (%s): %s", kind, c.Reason, c.Message))
		}
	}
	return findings
}
