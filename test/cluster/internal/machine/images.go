package machine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
)

// Names of the images that the node cannot do without, as kubeadm calls them.
const (
	PauseImage = "registry.k8s.io/pause:3.10.1"
	EtcdImage  = "registry.k8s.io/etcd:3.7.3-0"
	DNSImage   = "registry.k8s.io/coredns/coredns:v1.15.0"
)

// image is made of programs alone: it has no shell.
type image struct {
	name       string
	programs   map[string]string // path in the image to path on this machine
	user       string
	entrypoint []string
}

func (m Machine) images() []image {
	etcd := image{name: EtcdImage, programs: map[string]string{}, entrypoint: []string{"etcd"}}
	for _, program := range []string{"etcd", "etcdctl", "etcdutl"} {
		etcd.programs["usr/local/bin/"+program] = m.Programs[program]
	}
	dns := image{name: DNSImage, programs: map[string]string{"coredns": m.Programs["coredns"]}, entrypoint: []string{"/coredns"}}
	all := []image{etcd, dns, m.ownImage(PauseImage, "pause")}
	for _, program := range []string{"web", "stubborn", "crash", "hog"} {
		all = append(all, m.ownImage("prod.test/"+program+":1.0", program))
	}
	return all
}

func (m Machine) ownImage(reference, program string) image {
	return image{
		name:       reference,
		programs:   map[string]string{program: m.Programs[build.ImageProgram(program)]},
		user:       "65532:65532",
		entrypoint: []string{"/" + program},
	}
}

// ImportImages gives containerd the images: there is no registry from which it
// could pull them.
func (m Machine) ImportImages(ctx context.Context) error {
	built := map[name.Tag]v1.Image{}
	for _, image := range m.images() {
		reference, err := name.NewTag(image.name)
		if err != nil {
			return fmt.Errorf("naming image %s: %w", image.name, err)
		}
		if built[reference], err = image.build(); err != nil {
			return fmt.Errorf("building image %s: %w", image.name, err)
		}
	}
	file := m.Dir.Config("images.tar")
	defer os.Remove(file)
	if err := tarball.MultiWriteToFile(file, built); err != nil {
		return fmt.Errorf("writing the images: %w", err)
	}
	return run(ctx, m.Programs["ctr"], "--address="+m.Socket(), "--namespace=k8s.io", "images", "import", file)
}

func (i image) build() (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(i.layer, tarball.WithCompression(compression.None))
	if err != nil {
		return nil, err
	}
	filled, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := filled.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.User = i.user
	config.Config.Entrypoint = i.entrypoint
	config.Config.Env = []string{"PATH=/usr/local/bin:/"}
	return mutate.ConfigFile(filled, config)
}

// layer is a tar stream of the programs: in a fixed order and without dates,
// since it is made more than once and must be the same each time.
func (i image) layer() (io.ReadCloser, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, target := range slices.Sorted(maps.Keys(i.programs)) {
		content, err := os.ReadFile(i.programs[target])
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: path.Clean(target), Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return io.NopCloser(&out), nil
}
