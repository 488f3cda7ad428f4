// Package disk tells how much a file system has left, so that what would fail
// late is told before it begins.
package disk

import "fmt"

// Size is bytes as people write them: "1.5 GiB".
func Size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, exponent := float64(bytes)/unit, 0
	for value >= unit && exponent < 4 {
		value /= unit
		exponent++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exponent])
}

// Need is an error when the file system of a directory has less than so many
// bytes free. One that does not tell is no reason to refuse.
func Need(directory string, bytes int64, what string) error {
	if available, err := free(directory); err == nil && available < bytes {
		return fmt.Errorf("%s has %s free, and %s takes %s", directory, Size(available), what, Size(bytes))
	}
	return nil
}
