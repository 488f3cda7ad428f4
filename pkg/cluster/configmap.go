package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxConfigValue is the size above which a value of a ConfigMap is not kept:
// what people write by hand is smaller, and what is larger is data.
const maxConfigValue = 64 << 10

// comesWithData reports whether a kind needs no LIST of its own, since another
// that is asked for brings it along: ConfigMaps with their bodies bring their
// metadata.
func comesWithData(needs []Kind, kind Kind) bool {
	return kind == ConfigMaps && slices.Contains(needs, ConfigMaps) && slices.Contains(needs, ConfigMapData)
}

// shareConfigMaps fills ConfigMaps from the one LIST that read their bodies.
func (s *Snapshot) shareConfigMaps() {
	for _, cm := range s.ConfigMapData {
		s.ConfigMaps = append(s.ConfigMaps, &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: cm.ObjectMeta,
		})
	}
	coverage := s.coverage[ConfigMapData]
	coverage.Kind = ConfigMaps
	s.coverage[ConfigMaps] = coverage
}

// trimConfigMap drops what is not text, and text that nobody wrote by hand. The
// cluster's own CA certificate is in every namespace: it is kept once.
func trimConfigMap(cm *corev1.ConfigMap) {
	cm.BinaryData = nil
	for key, value := range cm.Data {
		if len(value) > maxConfigValue {
			delete(cm.Data, key)
		}
	}
	internMap(cm.Data)
}
