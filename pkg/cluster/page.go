package cluster

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// pages decodes what the API server answers a LIST.
type pages struct {
	types   *runtime.Scheme
	decoder []runtime.SerializerInfo // Kubernetes' own
	shared  *sharer
}

// decode tells protobuf from JSON by its first bytes. Nothing that it returns
// holds on to the page. Pods come trimmed and shared.
func (p *pages) decode(page []byte) (runtime.Object, error) {
	mediaType := runtime.ContentTypeJSON
	if bytes.HasPrefix(page, []byte(protobufMagic)) {
		mediaType = runtime.ContentTypeProtobuf
		if obj, err := p.decodeProtobuf(page); err == nil {
			return plain(obj)
		}
		// The usual decoder knows more forms, and tells what is wrong.
	}
	info, _ := runtime.SerializerInfoForMediaType(p.decoder, mediaType)
	obj, _, err := info.Serializer.Decode(page, nil, nil)
	if err != nil {
		return nil, err
	}
	if list, ok := obj.(*corev1.PodList); ok {
		for i := range list.Items {
			trim(&list.Items[i])
			p.shared.share(&list.Items[i])
		}
	}
	return plain(obj)
}

// plain tells an error that the API server answers in place of a list.
func plain(obj runtime.Object) (runtime.Object, error) {
	if status, ok := obj.(*metav1.Status); ok {
		return nil, apierrors.FromObject(status)
	}
	return obj, nil
}

// protobufMagic begins what Kubernetes encodes as protobuf
// (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
const protobufMagic = "k8s\x00"

// errOdd says that something is no message in protobuf as the API server sends it.
var errOdd = errors.New("not what an API server sends")

// decodeProtobuf decodes a page without the copy of it that Kubernetes' decoder
// makes first, as large as the page.
func (p *pages) decodeProtobuf(page []byte) (runtime.Object, error) {
	kind, message, err := unwrap(page)
	if err != nil {
		return nil, err
	}
	if kind == corev1.SchemeGroupVersion.WithKind("PodList") {
		return p.shared.decodePods(message)
	}
	obj, err := p.types.New(kind)
	if err != nil {
		return nil, err
	}
	decoded, ok := obj.(interface{ Unmarshal(message []byte) error })
	if !ok {
		return nil, errOdd
	}
	return obj, decoded.Unmarshal(message)
}

// unwrap takes a message out of the envelope that says what it is
// (k8s.io/apimachinery/pkg/runtime, Unknown).
func unwrap(page []byte) (kind schema.GroupVersionKind, message []byte, err error) {
	envelope, ok := bytes.CutPrefix(page, []byte(protobufMagic))
	if !ok {
		return kind, nil, errOdd
	}
	var around runtime.Unknown
	err = eachField(envelope, func(number protowire.Number, field, value []byte) error {
		if number != 2 {
			return around.Unmarshal(field)
		}
		if message = value; value == nil {
			return errOdd
		}
		return nil
	})
	if err == nil && (around.ContentEncoding != "" || around.ContentType != "") {
		err = errOdd
	}
	return around.GroupVersionKind(), message, err
}

// eachField visits the fields of an encoded message: their number, the whole of
// them, and the value of those that are strings, bytes or messages, nil for
// others. An error is the visitor's, or says that the message is not one.
func eachField(message []byte, visit func(number protowire.Number, field, value []byte) error) error {
	if message == nil {
		return errOdd
	}
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		size := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		field := message[:tag+size]
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(field[tag:])
		}
		if err := visit(number, field, value); err != nil {
			return err
		}
		message = message[tag+size:]
	}
	return nil
}
