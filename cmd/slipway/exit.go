package main

import (
	"strings"

	"github.com/slipway-hub/slipway/policy"
)

// The exit codes; other people's scripts rely on them.
const (
	exitGood    = 0
	exitDenied  = 1 // denied, different, or a test failed
	exitInvalid = 2 // wrong usage or invalid input
	exitFailed  = 3 // cluster unreachable, internal error
)

// failure ends a command with an exit code.
type failure struct {
	code    int
	err     error           // nil for a denial
	denials []policy.Denial // all the reasons of a denial
}

// invalid is a failure that the user can mend in the command line or the files.
func invalid(err error) *failure { return &failure{code: exitInvalid, err: err} }

// failed is a failure of ours, or of the cluster.
func failed(err error) *failure { return &failure{code: exitFailed, err: err} }

// denied is the decision that a pod is refused.
func denied(denials []policy.Denial) *failure { return &failure{code: exitDenied, denials: denials} }

// Error joins the lines.
func (f *failure) Error() string { return strings.Join(f.lines(), "\n") }

// Unwrap gives the error behind it; nil for a denial.
func (f *failure) Unwrap() error { return f.err }

// lines are what the user reads, one for each problem. A denial reads as in the API server's answer.
func (f *failure) lines() []string {
	var lines []string
	for _, d := range f.denials {
		lines = append(lines, "Slipway "+string(d.Code)+": "+d.String())
	}
	for _, err := range eachError(f.err) {
		lines = append(lines, "error: "+err.Error())
	}
	return lines
}

// eachError takes joined errors apart.
func eachError(err error) []error {
	switch joined := err.(type) { //nolint:errorlint // what is wrapped inside one message stays there
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, eachError(e)...)
		}
		return all
	}
	return []error{err}
}
