package practice

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	corev1 "k8s.io/api/core/v1"
)

// EachWorkload judges every Workload by itself. A Workload for which applies
// is false is not judged; nil applies to all.
func EachWorkload(applies func(*cluster.Workload) bool, check func(*cluster.Snapshot, *cluster.Workload) []Finding) func(*cluster.Snapshot) Verdict {
	return func(s *cluster.Snapshot) Verdict {
		var v Verdict
		for _, w := range s.Workloads() {
			if applies != nil && !applies(w) {
				continue
			}
			v.Judged = append(v.Judged, w.Owner)
			v.Findings = append(v.Findings, check(s, w)...)
		}
		return v
	}
}

// EachContainer judges every container of every Workload's template, sidecars
// and init containers included.
func EachContainer(check func(*cluster.Snapshot, cluster.Container) []Finding) func(*cluster.Snapshot) Verdict {
	return EachWorkload(nil, func(s *cluster.Snapshot, w *cluster.Workload) []Finding {
		var findings []Finding
		for c := range w.Containers() {
			findings = append(findings, check(s, c)...)
		}
		return findings
	})
}

// EachNamespace judges every namespace of which applies is true; nil applies
// to all. Manifests hold the namespaces that they declare.
func EachNamespace(applies func(*cluster.Snapshot, *corev1.Namespace) bool, check func(*cluster.Snapshot, *corev1.Namespace) []Finding) func(*cluster.Snapshot) Verdict {
	return func(s *cluster.Snapshot) Verdict {
		var v Verdict
		for _, ns := range s.Namespaces {
			if applies != nil && !applies(s, ns) {
				continue
			}
			v.Judged = append(v.Judged, NamespaceRef(ns.Name))
			v.Findings = append(v.Findings, check(s, ns)...)
		}
		return v
	}
}

// NamespaceRef names a namespace.
func NamespaceRef(name string) cluster.Ref {
	return cluster.Ref{APIVersion: "v1", Kind: "Namespace", Name: name}
}

// WholeCluster names the cluster itself, for findings about no single object.
func WholeCluster() cluster.Ref {
	return cluster.Ref{Kind: "Cluster", Name: "cluster"}
}
