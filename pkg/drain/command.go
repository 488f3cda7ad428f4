package drain

import (
	"fmt"
	"strconv"
	"strings"
)

// command is the drain that was asked about, as kubectl takes it.
func (q Question) command() string { return drainCommand(q, q.Options) }

// drainCommand is the drain of the question's nodes with these options.
func drainCommand(q Question, o Options) string {
	words := []string{"kubectl drain"}
	if q.NodeSelector != "" {
		words = append(words, "-l "+quote(q.NodeSelector))
	} else {
		words = append(words, q.Nodes...)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"--ignore-daemonsets", o.IgnoreDaemonSets},
		{"--delete-emptydir-data", o.DeleteEmptyDirData},
		{"--force", o.Force},
		{"--disable-eviction", o.DisableEviction},
	} {
		if flag.set {
			words = append(words, flag.name)
		}
	}
	if o.GracePeriod >= 0 {
		words = append(words, "--grace-period="+strconv.Itoa(o.GracePeriod))
	}
	if o.PodSelector != "" {
		words = append(words, "--pod-selector="+quote(o.PodSelector))
	}
	if o.SkipWaitForDelete > 0 {
		words = append(words, "--skip-wait-for-delete-timeout="+strconv.Itoa(o.SkipWaitForDelete))
	}
	if o.Timeout > 0 {
		words = append(words, "--timeout="+o.Timeout.String())
	}
	return strings.Join(words, " ")
}

// quote is a word for a POSIX shell.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$`!*?[]{}()<>|&;#~") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// in is a kubectl command in a namespace.
func in(namespace, format string, args ...any) string {
	return "kubectl -n " + quote(namespace) + " " + fmt.Sprintf(format, args...)
}
