// Package exit is the one table of exit codes: 0, clean; 1, the answer is bad
// (findings at or above --fail-on); 2, there is no answer (bad flags, no
// connection, incomplete where completeness was required); 130, interrupted.
package exit

import (
	"errors"
	"fmt"
)

// The exit codes.
const (
	Clean       = 0
	Found       = 1
	Failed      = 2
	Interrupted = 130 // 128 + SIGINT, as shells report it
)

// Error ends the program with a code of its own. An empty Message prints
// nothing: the report on stdout has said it all.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// With is an error that ends the program with a code; format may be empty.
func With(code int, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Code is the exit code that an error stands for. Whatever has none of its own
// is a failure to do the job.
func Code(err error) int {
	var coded *Error
	switch {
	case err == nil:
		return Clean
	case errors.As(err, &coded):
		return coded.Code
	default:
		return Failed
	}
}
