package operations

import (
	"maps"
	"slices"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// CertificateRotationOff finds kubelets that will lose their node on a known day.
//
// A kubelet's client certificate lasts a year. With rotation it asks for the
// next one by itself; without it the node turns NotReady when it ends.
// https://kubernetes.io/docs/tasks/tls/certificate-rotation/
func CertificateRotationOff() practice.Practice {
	return practice.Practice{
		ID:       "certificate-rotation-off",
		Title:    "Kubelet that does not renew its certificates",
		Chapter:  practice.Operations,
		Severity: report.Warning,
		Reason:   "A kubelet's client certificate lasts a year. Without rotation its node turns NotReady on the day it ends, and so do all that were made on the same day.",
		Judged: "The configuration of up to 20 ready kubelets, some of each kind of node (configz): rotateCertificates. " +
			"An info where the serving certificate is self-signed: neither serverTLSBootstrap nor tlsCertFile.",
		Fix:          "set rotateCertificates: true, and serverTLSBootstrap: true with somebody who approves its requests, in the kubelet's configuration",
		Sources:      []string{"https://kubernetes.io/docs/tasks/tls/certificate-rotation/", "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.KubeletConfigs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, name := range slices.Sorted(maps.Keys(s.KubeletConfigs)) {
				ref := cluster.Ref{APIVersion: "v1", Kind: "Node", Name: name}
				v.Judged = append(v.Judged, ref)
				switch config := s.KubeletConfigs[name]; {
				case !config.RotateCertificates:
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet does not renew its client certificate (rotateCertificates: false)"))
				case !config.ServerTLSBootstrap && config.TLSCertFile == "":
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet signs its own serving certificate, which nothing can verify (serverTLSBootstrap: false)").As(report.Info))
				}
			}
			return v
		},
	}
}
