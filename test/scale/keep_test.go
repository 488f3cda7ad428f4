package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAResultReplacesTheOneOfTheSameFleet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	for _, section := range []string{"## small\n\nfirst\n", "## large\n\nsecond\n", "## small\n\nthird\n"} {
		if err := keep(file, section); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n## small\n\nthird\n\n## large\n\nsecond\n"; !strings.HasPrefix(string(data), "# Benchmarks") || !strings.HasSuffix(string(data), want) {
		t.Errorf("got\n%s", data)
	}
}
