// Command gen-docs writes what of docs/ follows from the code: a page for each
// practice and command, the field guide with its links, and an example report.
//
//	go run ./cmd/gen-docs
//
// SOURCE_DATE_EPOCH, where set, is the moment of the example report.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-docs/docs"
)

func main() {
	repository := flag.String("repository", ".", "root of the repository to write into")
	flag.Parse()
	if err := generate(*repository); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func generate(repository string) error {
	now := docs.Time()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds: %w", err)
		}
		now = time.Unix(seconds, 0).UTC()
	}
	files, err := docs.Generate(repository, now)
	if err != nil {
		return err
	}
	return files.Write(repository)
}
