package security

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SecretInConfigMap finds credentials that are kept where everybody may look.
//
// ConfigMaps are not encrypted at rest, are in nobody's rules on secrets, and
// the role view, which Secrets are kept from on purpose, reads them all.
// https://kubernetes.io/docs/concepts/configuration/configmap/
func SecretInConfigMap() practice.Practice {
	return practice.Practice{
		ID:       "secret-in-configmap",
		Title:    "Credential in a ConfigMap",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "ConfigMaps are not for secrets: encryption at rest leaves them out, no rule about secrets covers them, " +
			"and the role view, from which Secrets are kept on purpose, reads them all.",
		Judged: "Each value of each ConfigMap, and each name: value or name=value line in it: by forms that give a credential away (private keys, tokens of known services, URLs with a password), " +
			"and by their name: any literal password; a token, secret or key where the value looks random (entropy). References, paths, templates, names of objects and values above 64 KiB are left out. " +
			"Values are never printed, nor any part of them. This reads the bodies of ConfigMaps, of which doctor else asks for metadata alone: --skip secret-in-configmap spares a large cluster the bytes.",
		Fix: "move it into a Secret; and change it, since it has been read",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/configmap/",
			"https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
		},
		Needs: []cluster.Kind{cluster.ConfigMapData},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			known := newCredentials()
			for _, cm := range s.ConfigMapData {
				ref := cluster.RefOf("v1", "ConfigMap", &cm.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				v.Findings = append(v.Findings, inConfigMap(known, ref, cm)...)
			}
			return v
		},
	}
}

func inConfigMap(known credentials, ref cluster.Ref, cm *corev1.ConfigMap) []practice.Finding {
	var findings []practice.Finding
	for _, key := range sortedKeys(cm.Data) {
		value := cm.Data[key]
		what, name := known.byName(key, value), ""
		if what == "" {
			what, name = known.inText(value)
		}
		switch {
		case what == "":
		case name == "":
			findings = append(findings, practice.On(ref, "data."+key, "holds %s under the key %q", what, key))
		default:
			findings = append(findings, practice.On(ref, "data."+key, "holds %s under the key %q, as %s", what, key, name))
		}
	}
	return findings
}

func sortedKeys(data map[string]string) []string {
	keys := make([]string, 0, len(data))
	for key := range data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
