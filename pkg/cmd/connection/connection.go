// Package connection is how every verb reaches the cluster: kubectl's flags,
// and one read with progress and bounded memory.
package connection

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// requestTimeout bounds one request where --request-timeout does not: a page
// of a large cluster takes a second, so half a minute means a sick server.
const requestTimeout = 30 * time.Second

// ReadTimeout bounds the whole read of a cluster where no flag does.
const ReadTimeout = 2 * time.Minute

// Flags are kubectl's connection flags, and the version of this plugin, which
// the API server sees as the user agent.
type Flags struct {
	*genericclioptions.ConfigFlags
	Version string
}

// Connect resolves the flags, without a word to the cluster. An error names the
// flags that would choose a cluster.
func (f *Flags) Connect() (*rest.Config, error) {
	const choose = "KUBECONFIG, --kubeconfig or --context choose a cluster"
	config, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, choose)
	}
	if raw, err := f.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && config.Host == clientcmd.ClusterDefaults.Server {
		// kubectl goes on to a server on localhost that nobody named.
		return nil, fmt.Errorf("no kubeconfig names a cluster (%s)", choose)
	}
	if config.Timeout == 0 {
		config.Timeout = requestTimeout
	}
	config.UserAgent = "kubectl-prod/" + f.Version
	return config, nil
}

// ContextName is the kubeconfig context in use; "" inside a cluster.
func (f *Flags) ContextName() string {
	if *f.Context != "" {
		return *f.Context
	}
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return ""
	}
	return raw.CurrentContext
}

// Selector reads what a flag says of labels; the error names the flag.
func Selector(flag, text string) (labels.Selector, error) {
	selector, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q does not parse: %w", flag, text, err)
	}
	return selector, nil
}

// Read reads the kinds of the cluster that the flags choose, for at most
// timeout, with a progress line on errOut where that is a terminal. live says
// what to read beyond the kinds; its Config, Context and Progress are set here.
// Errors are those of [cluster.Live.Load], and of a namespace that is not there.
func (f *Flags) Read(ctx context.Context, errOut io.Writer, timeout time.Duration, live cluster.Live, needs []cluster.Kind) (*cluster.Snapshot, error) {
	config, err := f.Connect()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	progress := newProgress(errOut)
	defer progress.clear()
	memory := boundMemory()
	live.Config, live.Context = config, f.ContextName()
	live.Progress = func(kind cluster.Kind, objects int) {
		memory.follow()
		progress.page(kind, objects)
	}
	snapshot, err := live.Load(ctx, needs)
	if err != nil {
		return nil, err
	}
	if live.Namespace != "" && snapshot.WasRead(cluster.Namespaces) && snapshot.Namespace(live.Namespace) == nil {
		return nil, fmt.Errorf("namespace %q does not exist in context %q (kubectl get namespaces lists them)", live.Namespace, live.Context)
	}
	return snapshot, nil
}
