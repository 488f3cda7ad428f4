package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// generation is raised when the objects of a fleet change, so that an archive
// of older ones is not measured in their place.
const generation = 2

// Size is how large a fleet is.
type Size struct {
	Nodes int
	// Pods is how many are aimed at; the workloads make some more or fewer.
	Pods int
}

func (s *Size) addFlags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&s.Nodes, "nodes", 100, "simulated nodes")
	cmd.Flags().IntVar(&s.Pods, "pods", 2000, "pods on them, about")
}

// check fails on sizes that no scheduler could place.
func (s Size) check() error {
	if s.Nodes < 3 || s.Pods < podsPerTeam {
		return fmt.Errorf("%d nodes and %d pods: a fleet has at least 3 and %d", s.Nodes, s.Pods, podsPerTeam)
	}
	if s.Pods > 60*s.Nodes {
		return fmt.Errorf("%d pods do not fit on %d nodes: at most 60 a node", s.Pods, s.Nodes)
	}
	return nil
}

// archive is where the fleet is kept.
func (s Size) archive() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	name := fmt.Sprintf("%d-%d-%d.tar", s.Nodes, s.Pods, generation)
	return filepath.Join(cache, "kubectl-prod", "fleets", name), nil
}
