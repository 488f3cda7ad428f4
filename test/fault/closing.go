package fault

import (
	"context"
	"net/http"
)

// withClosing is a request's context that ends with the test, too.
func withClosing(r *http.Request, closing <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case <-closing:
		}
	}()
	return ctx
}
