package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The ConfigMaps in which meshes publish the certificates that every proxy
// trusts. Only these are read by name, and only where the mesh is served.
const (
	IstioRoots   Kind = "configmaps(istio-ca-root-cert)"
	LinkerdRoots Kind = "configmaps(linkerd-identity-trust-roots)"
)

// TrustAnchors are the certificates in which a mesh trusts.
type TrustAnchors struct {
	Mesh   string
	Object Ref
	Key    string
	PEM    string
}

const (
	istioRootsName   = "istio-ca-root-cert"
	linkerdRootsName = "linkerd-identity-trust-roots"
)

// anchorReadings are how they are read.
func anchorReadings() []reading {
	read := func(kind Kind, name string, served schema.GroupResource) reading {
		r := typed(kind, "v1", "ConfigMap", func(s *Snapshot) *[]*corev1.ConfigMap { return s.anchors[kind] }).where("metadata.name=" + name)
		r.onlyWith = served
		return r
	}
	return []reading{
		read(IstioRoots, istioRootsName, schema.GroupResource{Group: "security.istio.io", Resource: "peerauthentications"}),
		read(LinkerdRoots, linkerdRootsName, schema.GroupResource{Group: "policy.linkerd.io", Resource: "servers"}),
	}
}

func newAnchors() map[Kind]*[]*corev1.ConfigMap {
	return map[Kind]*[]*corev1.ConfigMap{IstioRoots: {}, LinkerdRoots: {}}
}

// isTrustAnchor reports whether a ConfigMap holds a mesh's trust anchors.
func isTrustAnchor(name string) bool { return name == istioRootsName || name == linkerdRootsName }

// TrustAnchors are what the meshes of the cluster trust in. Istio copies its
// root into every namespace: each root is told once, the mesh's own copy first.
func (s *Snapshot) TrustAnchors() []TrustAnchors {
	var all []TrustAnchors
	for _, of := range []struct {
		kind                 Kind
		mesh, key, namespace string
	}{{IstioRoots, "Istio", "root-cert.pem", "istio-system"}, {LinkerdRoots, "Linkerd", "ca-bundle.crt", "linkerd"}} {
		if s.anchors[of.kind] == nil {
			continue
		}
		held := slices.Clone(*s.anchors[of.kind])
		slices.SortStableFunc(held, func(a, b *corev1.ConfigMap) int {
			switch of.namespace {
			case a.Namespace:
				return -1
			case b.Namespace:
				return 1
			default:
				return 0
			}
		})
		seen := map[string]bool{}
		for _, cm := range held {
			if pem := cm.Data[of.key]; pem != "" && !seen[pem] {
				seen[pem] = true
				all = append(all, TrustAnchors{Mesh: of.mesh, Object: RefOf("v1", "ConfigMap", &cm.ObjectMeta), Key: of.key, PEM: pem})
			}
		}
	}
	return all
}
