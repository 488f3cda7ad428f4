package harden

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// heard is what the API server warned of in the course of one request.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.said, text) {
		h.said = append(h.said, text)
	}
}

type heardKey struct{}

// heeding is a context whose requests' warnings are kept, and not printed.
func heeding(ctx context.Context) (context.Context, *heard) {
	h := &heard{}
	return context.WithValue(ctx, heardKey{}, h), h
}

// warnings hands what the API server warns of to whoever heeds it. Other
// warnings are dropped: they would be printed into a prompt.
type warnings struct{}

// HandleWarningHeaderWithContext is called by client-go for each warning.
func (warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if h, ok := ctx.Value(heardKey{}).(*heard); ok && code == 299 && text != "" {
		h.add(text)
	}
}

// heed takes up what the API server warned of when it tried a change: a label
// that its own pods violate is refused, whatever the plan made of them; all else
// is told.
func heed(ref cluster.Ref, said []string, t *trial) error {
	var disputed []string
	for _, text := range said {
		switch {
		case ref.Kind == "Namespace" && ref.APIVersion == "v1" && isOfPodSecurity(text),
			len(disputed) > 0 && strings.Contains(text, ": "): // the pods follow, a line each
			disputed = append(disputed, text)
		default:
			t.notes = append(t.notes, "the API server warns: "+oneLine(text))
		}
	}
	if len(disputed) > 0 {
		return refuse("the API server, which looks at the pods that are there now, does not agree: %s", oneLine(strings.Join(disputed, "; ")))
	}
	return nil
}

// isOfPodSecurity knows the warnings of a namespace's update, by which the
// server says that running pods violate the new level, that it could not look at
// all of them, or that it does not enforce levels there at all
// (k8s.io/pod-security-admission/admission, ValidateNamespace).
func isOfPodSecurity(text string) bool {
	return strings.HasPrefix(text, "existing pods in namespace") || strings.Contains(text, "enforce level only checked against") ||
		strings.HasPrefix(text, "namespace ") && strings.Contains(text, "is exempt from Pod Security")
}
