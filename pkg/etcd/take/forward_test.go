package take

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestAForwardThatNobodyAnswersEndsWithItsContext is about an API server, or
// something before it, that takes the connection and says no more.
func TestAForwardThatNobodyAnswersEndsWithItsContext(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		interrupt()
		<-silent
	}))
	t.Cleanup(func() { close(silent); server.Close() })
	config := &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := NewForward(ctx, config, client, "kube-system", "helper", servePort)
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was interrupted", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it still waits for an answer")
	}
}
