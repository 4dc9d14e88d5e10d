package launcher

import (
	"time"

	"github.com/slipway-hub/slipway/policy"
)

// Key says which server is meant: one user of one hub has one default server and any number of named ones.
type Key struct {
	Hub string
	// User is the unescaped user name.
	User string
	// Name of the server, unescaped; "" is the default one.
	Name string
}

// Request asks for a server.
type Request struct {
	Key
	// StartID tells this start from every other start of the server. The same one twice, from any replica, is one start; another
	// one, where the server is there already, replaces it, since its environment may be new. Any text; not empty.
	StartID string
	// Namespace for the pod. Empty: the one that policy gives this user, else the only one that this launcher serves.
	Namespace string
	// UserID is the hub's own number of the user; nil where it has none.
	UserID *int64
	// Groups that the user is in, as the hub knows them.
	Groups []string
	// Profile slug; empty for the default one.
	Profile string
	// Options of the profile: name to choice, or NAME--unlisted-choice to what the user typed.
	Options map[string]string
	// UserAnnotations are further facts about the user, for policy's expressions.
	UserAnnotations map[string]string
	// Env is the hub's environment, of which policy lets pass what its hubEnv names. It goes into a Secret, never into the pod.
	Env map[string]string
	// Files are the hub's TLS files for this server, by name: ssl.key, ssl.crt, notebooks-ca_trust.crt. They go into the same
	// Secret, and are mounted where policy says internalSsl. Nil without internal TLS.
	Files map[string]string
	// Timeout bounds this start, retries and waiting for an old pod to end included. 0: five minutes.
	Timeout time.Duration
}

// State of a server.
type State string

const (
	// Pending: its pod is there, and not ready yet.
	Pending State = "Pending"
	// Running: its pod has an address, and all its containers are ready.
	Running State = "Running"
	// Stopping: its pod is being deleted.
	Stopping State = "Stopping"
	// Stopped: its notebook container or its pod has ended, by itself or by an eviction.
	Stopped State = "Stopped"
	// Failed: it can't start as it is, and waiting won't help; Message says why.
	Failed State = "Failed"
)

// Server is what the launcher knows of a server whose pod exists.
type Server struct {
	Key
	Namespace, Pod string
	// UID of the pod.
	UID string
	// StartID8 is the part of the env Secret's name that StartID gave, 8 of a to z and 0 to 9; empty for a pod that another
	// program made.
	StartID8 string
	State    State
	// Message is one sentence on why it isn't running, without a period; empty while it runs.
	Message string
	// URL is where the hub reaches it, scheme://host:port; empty before the pod has an address.
	URL string
	// ExitCode of the notebook container; nil unless it ended. A pod that was evicted before it said one has 1.
	ExitCode *int32
	// Profile that it was started with.
	Profile string
	// Created is when its pod was.
	Created time.Time
}

// Step is what there is to tell of a server on its way. Progress and what it means are KubeSpawner's: 0 is "asked for", each
// event of the pod adds a third of what is missing to 90, and 100 is "ready".
type Step struct {
	// Progress is 0 to 100; -1 where the message tells no step, as a word of patience.
	Progress int
	// Message for the user, one sentence.
	Message string
	// Event is the raw Kubernetes event behind it as JSON; nil where there is none.
	Event []byte
	// Done is set on the last step: the server is Running, Failed, Stopped or gone (nil Server).
	Done   bool
	Server *Server
}

// Offer is what a user can choose from.
type Offer struct {
	// Profiles in their order; none where there is nothing to choose.
	Profiles []policy.Offered
	// DNS is the host name that the server is going to have, for the certificate of internal TLS, which a hub makes before the start;
	// empty where policy has no name for it.
	DNS string
}

// Claim is a home, or another claim of a user.
type Claim struct {
	Namespace, Name string
	Key
	// InUse: a pod of the server is there.
	InUse bool
	// DeleteRequested: the companion controller has been asked to delete it.
	DeleteRequested bool
}
