package plane

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"text/template"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

//go:embed files
var files embed.FS

// render fills the named template of files with data.
func render(name string, data any) ([]byte, error) {
	tmpl, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("filling %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// apply applies all objects of a YAML stream, as kubectl apply --server-side does.
func apply(ctx context.Context, client dynamic.Interface, manifests []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("parsing manifests: %w", err)
		}
		if object.Object == nil {
			continue
		}
		if err := applyOne(ctx, client, &object); err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

// applyOne guesses the resource from the kind instead of asking the server,
// since discovery is slow and incomplete while an aggregated API is down.
func applyOne(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	options := metav1.ApplyOptions{FieldManager: "prod-cluster", Force: true}
	_, err := client.Resource(resource).Namespace(object.GetNamespace()).Apply(ctx, object.GetName(), object, options)
	return err
}
