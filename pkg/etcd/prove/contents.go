package prove

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// pageKeys keeps a page small: an object may have a MiB.
	pageKeys = 100
	// sample is how many objects of each resource are decoded in full.
	sample = 20
	// systemNamespace is in every Kubernetes cluster, and its UID names it.
	systemNamespace = "/namespaces/kube-system"
)

// read counts all objects and decodes a sample, as of the file's revision:
// leases that end in the running etcd take nothing away.
func (x *examination) read(ctx context.Context, client *clientv3.Client) error {
	defer func() { _ = client.Close() }() // it was only read
	prefix, err := x.prefix(ctx, client)
	if err != nil {
		return err
	}
	if prefix == "" {
		x.failed("objects", report.NotKubernetes, "%d keys, and none of them is a Kubernetes namespace kube-system", x.Snapshot.Keys)
		return nil
	}
	r := reader{prefix: prefix, resources: map[string]int{}, encrypted: map[report.EtcdEncryption]int{}, contents: &report.EtcdContents{Prefix: prefix}}
	err = x.pages(ctx, client, prefix+"/", false, func(key, value []byte) bool {
		r.object(string(key), value)
		return true
	})
	if err != nil {
		return err
	}
	x.Contents = r.finish()
	switch {
	case len(r.broken) > 0:
		x.failed("objects", report.Inconsistent, "%d of %d sampled objects cannot be decoded, the first %s", len(r.broken), len(r.broken)+r.contents.Decoded, r.broken[0])
	default:
		x.passed("objects", "%d objects of %d resources, %d decoded", r.contents.Objects, len(r.contents.Resources), r.contents.Decoded)
	}
	return nil
}

// prefix finds the API server's --etcd-prefix: what stands before the namespace
// that every cluster has.
func (x *examination) prefix(ctx context.Context, client *clientv3.Client) (found string, err error) {
	const usual = "/registry"
	response, err := client.Get(ctx, usual+systemNamespace, clientv3.WithRev(x.Snapshot.Revision), clientv3.WithCountOnly())
	if err != nil {
		return "", err
	}
	if response.Count > 0 {
		return usual, nil
	}
	err = x.pages(ctx, client, "\x00", true, func(key, _ []byte) bool {
		before, is := strings.CutSuffix(string(key), systemNamespace)
		if is && strings.HasPrefix(before, "/") {
			found = before
		}
		return found == ""
	})
	return found, err
}

// pages reads all keys from one on, page by page, until each says no. Without
// keysOnly these are the keys with the prefix from.
func (x *examination) pages(ctx context.Context, client *clientv3.Client, from string, keysOnly bool, each func(key, value []byte) bool) error {
	end := clientv3.GetPrefixRangeEnd(from)
	options := []clientv3.OpOption{clientv3.WithRev(x.Snapshot.Revision), clientv3.WithLimit(pageKeys)}
	if keysOnly {
		end, options = "\x00", append(options, clientv3.WithKeysOnly())
	}
	for {
		page, err := client.Get(ctx, from, append(options, clientv3.WithRange(end))...)
		if err != nil {
			return fmt.Errorf("reading from the restored etcd: %w", err)
		}
		for _, kv := range page.Kvs {
			if !each(kv.Key, kv.Value) {
				return nil
			}
		}
		if !page.More {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// reader sums up the objects.
type reader struct {
	prefix    string
	resources map[string]int
	encrypted map[report.EtcdEncryption]int
	contents  *report.EtcdContents
	broken    []string
}

func (r *reader) object(key string, value []byte) {
	name := strings.TrimPrefix(key, r.prefix+"/")
	resource := resourceOf(name)
	r.resources[resource]++
	r.contents.Objects++
	r.contents.Kubeadm = r.contents.Kubeadm || name == "configmaps/kube-system/kubeadm-config"
	if by, encrypted := encryption(value); encrypted {
		r.encrypted[by]++
		return
	}
	if key == r.prefix+systemNamespace {
		var namespace corev1.Namespace
		if err := runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), value, &namespace); err == nil {
			r.contents.ClusterUID = string(namespace.UID)
		}
	}
	if r.resources[resource] > sample || resource == "masterleases" {
		return
	}
	if err := decode(value); err != nil {
		r.broken = append(r.broken, fmt.Sprintf("%s: %v", name, err))
		return
	}
	r.contents.Decoded++
}

func (r *reader) finish() *report.EtcdContents {
	for _, resource := range slices.Sorted(maps.Keys(r.resources)) {
		r.contents.Resources = append(r.contents.Resources, report.EtcdResource{Resource: resource, Count: r.resources[resource]})
	}
	for by, objects := range r.encrypted {
		by.Objects = objects
		r.contents.Encrypted = append(r.contents.Encrypted, by)
	}
	slices.SortFunc(r.contents.Encrypted, func(a, b report.EtcdEncryption) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Key, b.Key))
	})
	return r.contents
}

// resourceOf is the directory of a key's object: the API server keeps custom
// and aggregated resources below their group, services in two places, and the
// rest by plural name.
func resourceOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) > 2 && (strings.Contains(parts[0], ".") || parts[0] == "services" || parts[0] == "ranges") {
		return parts[0] + "/" + parts[1]
	}
	if len(parts) == 2 && parts[0] == "ranges" {
		return name
	}
	return parts[0]
}

// encryption reads who encrypted a value at rest: "k8s:enc:aescbc:v1:KEY:…",
// and for a KMS plugin "k8s:enc:kms:v2:PLUGIN:…"
// (apiserver/pkg/storage/value, server/options/encryptionconfig).
func encryption(value []byte) (report.EtcdEncryption, bool) {
	if !bytes.HasPrefix(value, []byte("k8s:enc:")) {
		return report.EtcdEncryption{}, false
	}
	parts := strings.SplitN(string(value[:min(len(value), 512)]), ":", 6)
	if len(parts) < 6 {
		return report.EtcdEncryption{Provider: "unknown"}, true
	}
	return report.EtcdEncryption{Provider: cmp.Or(parts[2], "unknown"), Key: parts[4]}, true
}

// decode reads a value as the API server would: its own types by their schema,
// others by their envelope, custom resources as JSON.
func decode(value []byte) error {
	if bytes.HasPrefix(value, []byte("{")) {
		var object struct {
			Kind string `json:"kind"`
		}
		return json.Unmarshal(value, &object)
	}
	if !bytes.HasPrefix(value, []byte("k8s\x00")) {
		return fmt.Errorf("neither JSON nor Kubernetes' protobuf")
	}
	_, _, err := scheme.Codecs.UniversalDeserializer().Decode(value, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		var envelope runtime.Unknown
		err = envelope.Unmarshal(value[4:])
	}
	return err
}
