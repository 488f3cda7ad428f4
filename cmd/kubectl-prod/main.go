// Command kubectl-prod is the kubectl plugin `kubectl prod`.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the kubeconfig's auth providers

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd"
)

// version is set by release builds.
var version string

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(cmd.Main(streams, os.Args, version))
}
