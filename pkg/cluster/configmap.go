package cluster

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxConfigValue is the size above which a value of a ConfigMap is not kept:
// what people write by hand is smaller, and what is larger is data.
const maxConfigValue = 64 << 10

// comesWithData reports whether a kind needs no LIST of its own, since another
// that is asked for brings it along: ConfigMaps with their bodies bring their
// metadata, and the trust anchors among them.
func comesWithData(needs []Kind, kind Kind) bool {
	return slices.Contains([]Kind{ConfigMaps, IstioRoots, LinkerdRoots}, kind) && slices.Contains(needs, ConfigMapData)
}

// shareConfigMaps fills what needs no LIST of its own from the one that read
// the bodies of ConfigMaps.
func (s *Snapshot) shareConfigMaps(needs []Kind) {
	for _, kind := range []Kind{ConfigMaps, IstioRoots, LinkerdRoots} {
		if !slices.Contains(needs, kind) || !comesWithData(needs, kind) {
			continue
		}
		coverage := s.coverage[ConfigMapData]
		coverage.Kind = kind
		s.coverage[kind] = coverage
		switch kind {
		case ConfigMaps:
			s.shareMetadata()
		case IstioRoots:
			*s.anchors[kind] = s.named(istioRootsName)
		case LinkerdRoots:
			*s.anchors[kind] = s.named(linkerdRootsName)
		}
	}
}

func (s *Snapshot) named(name string) []*corev1.ConfigMap {
	var found []*corev1.ConfigMap
	for _, cm := range s.ConfigMapData {
		if cm.Name == name {
			found = append(found, cm)
		}
	}
	return found
}

func (s *Snapshot) shareMetadata() {
	for _, cm := range s.ConfigMapData {
		s.ConfigMaps = append(s.ConfigMaps, &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: cm.ObjectMeta,
		})
	}
}

// trimConfigMap keeps what may hold a credential, since nobody reads the rest:
// text that somebody may have written by hand, in which one of the words occurs
// that credentials go by.
func trimConfigMap(cm *corev1.ConfigMap) {
	cm.BinaryData = nil
	if isTrustAnchor(cm.Name) {
		return
	}
	for key, value := range cm.Data {
		if len(value) > maxConfigValue || !mayHoldCredential(key) && !mayHoldCredential(value) {
			delete(cm.Data, key)
		}
	}
	internMap(cm.Data)
}

// mayHoldCredential is generous: it decides what is kept, and not what is told.
func mayHoldCredential(text string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc([]string{
		"pass", "pwd", "secret", "token", "key", "credential", "://", "akia", "asia", "gh", "glpat-", "xox", "aiza", "_live_", "eyj",
	}, func(hint string) bool { return strings.Contains(lower, hint) })
}
