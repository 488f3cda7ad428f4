package cluster

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// pages decodes what the API server answers a LIST.
type pages struct {
	types  []runtime.SerializerInfo
	shared *sharer
}

// protobufMagic begins what Kubernetes encodes as protobuf
// (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
const protobufMagic = "k8s\x00"

// decode tells protobuf from JSON by its first bytes. Nothing that it returns
// holds on to the page. Pods come trimmed and shared.
func (p *pages) decode(page []byte) (runtime.Object, error) {
	mediaType := runtime.ContentTypeJSON
	if bytes.HasPrefix(page, []byte(protobufMagic)) {
		mediaType = runtime.ContentTypeProtobuf
		if list, err := p.shared.decodePods(page); err == nil {
			return list, nil
		}
		// The usual decoder knows more forms, and tells what is wrong.
	}
	info, _ := runtime.SerializerInfoForMediaType(p.types, mediaType)
	obj, _, err := info.Serializer.Decode(page, nil, nil)
	if err != nil {
		return nil, err
	}
	switch obj := obj.(type) {
	case *metav1.Status:
		return nil, apierrors.FromObject(obj)
	case *corev1.PodList:
		for i := range obj.Items {
			trim(&obj.Items[i])
			p.shared.share(&obj.Items[i])
		}
	}
	return obj, nil
}
