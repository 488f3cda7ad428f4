//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestScale holds what each verb asks of an API server that has a small fleet, in
// numbers and never in time: each kind is listed once, in as few pages as it
// takes, nothing is watched, and other requests are few.
func TestScale(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "scale")
	mustRun(t, nil, "go", "build", "-o", tool, filepath.Join(root, "test", "scale"))
	told := mustRun(t, nil, tool, "count", "--nodes=12", "--pods=300",
		"--cluster", filepath.Join(root, "bin", "test-cluster"), "--plugin", filepath.Join(root, "bin", "kubectl-prod"))
	t.Logf("\n%s", told)
	if strings.Count(told, " other requests, ") != 5 {
		t.Error("not all verbs were held")
	}
}
