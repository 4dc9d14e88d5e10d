package kubespawner

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// ProblemError is one thing in the source that KubeSpawner or Kubernetes would refuse. It is an error.
type ProblemError struct {
	// Path of the setting in the source: profile_list[2].kubespawner_override.mem_limit.
	Path string
	// Source is where that is, as FILE:LINE; may be empty.
	Source string
	// Message says what is wrong, and what would be right.
	Message string
}

// Error is source, path and message.
func (p *ProblemError) Error() string {
	s := p.Message
	for _, place := range []string{p.Path, p.Source} {
		if place != "" {
			s = place + ": " + s
		}
	}
	return s
}

// Problems gives every ProblemError that err holds, in order.
func Problems(err error) []*ProblemError {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []*ProblemError
		for _, e := range joined.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	if p, ok := errors.AsType[*ProblemError](err); ok {
		return []*ProblemError{p}
	}
	return nil
}

func (c *converter) refusef(at, format string, args ...any) {
	p := &ProblemError{Path: at, Message: fmt.Sprintf(format, args...)}
	if key := p.Error(); !c.said[key] {
		c.said[key] = true
		c.problems = append(c.problems, p)
	}
}

// wrongType is the problem that traitlets calls a TraitError.
func (c *converter) wrongType(at, want string, got any) {
	c.refusef(at, "must be %s, not %s", want, describe(got))
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_$-]+$`)

// Child is the path of a key below at.
func Child(at, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return at + "[" + key + "]"
	case at == "":
		return key
	}
	return at + "." + key
}

// Index is the path of a list's item below at.
func Index(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
