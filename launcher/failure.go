package launcher

import "errors"

// ErrNotFound says that no pod of this server is there.
var ErrNotFound = errors.New("this server isn't running: no pod of it is there")

// Failure is why a server can't start, or didn't, in one sentence, where it isn't policy that refuses it.
type Failure struct {
	// Message is one sentence without a period.
	Message string
	// Hopeless: the same request will fail the same way until somebody mends what Message names.
	Hopeless bool
	// err is what the API server said; nil where nothing was asked.
	err error
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// Unwrap gives what the API server said.
func (f *Failure) Unwrap() error { return f.err }

// DefaultHopeless are the reasons of Kubernetes for which a server that starts fails at once, as nothing but another policy, image
// or request mends them. CreateContainerConfigError counts only where it isn't the env Secret that is missing, which
// comes a moment after its pod.
var DefaultHopeless = []string{"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "OOMKilled"}
