package manifest

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
)

// Checksums are the SHA-256 sums of files by name, in lower-case hex.
type Checksums map[string]string

// ReadChecksums reads what sha256sum and goreleaser write: a line a file, the
// sum, two spaces (or a space and a star) and the name.
func ReadChecksums(r io.Reader) (Checksums, error) {
	line := regexp.MustCompile(`^([0-9a-f]{64}) [ *](\S+)$`)
	sums := Checksums{}
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return sums, lines.Err()
		}
		if lines.Text() == "" {
			continue
		}
		fields := line.FindStringSubmatch(lines.Text())
		if fields == nil {
			return nil, fmt.Errorf("not a line of SHA-256 checksums: %q", lines.Text())
		}
		sums[fields[2]] = fields[1]
	}
}
