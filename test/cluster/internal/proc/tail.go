package proc

import (
	"os"
	"strings"
)

// Tail returns the last lines of the named process's log, for error messages.
// It returns "" when there is no log.
func (t Table) Tail(name string, lines int) string {
	data, err := os.ReadFile(t.LogFile(name))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
