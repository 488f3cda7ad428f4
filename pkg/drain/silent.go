package drain

import (
	"errors"
	"fmt"
	"net/http"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// errSimulated is what a plugin is told that wants to write.
var errSimulated = errors.New("this is a simulation: nothing is sent")

// refusing is a transport that sends nothing.
type refusing struct{}

// RoundTrip refuses.
func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSimulated }

// silentClient is for plugins that send requests, and bear that one fails: the
// one for devices, when a placement is taken back.
func silentClient() (kubernetes.Interface, error) {
	client, err := kubernetes.NewForConfigAndClient(&rest.Config{Host: "simulation.invalid"}, &http.Client{Transport: refusing{}})
	if err != nil {
		return nil, fmt.Errorf("making a client that sends nothing: %w", err)
	}
	return client, nil
}
