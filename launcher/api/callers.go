package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// Caller is who made a request.
type Caller struct {
	// Name for the log: a service account, or what it came in by.
	Name string
	// Hubs that it speaks for.
	Hubs []string
}

// Callers finds out who made a request.
type Callers interface {
	// Caller gives ErrUnauthenticated where the request doesn't prove who made it, ErrNotListed where that is nobody who may come
	// in, and ErrBusy where it can't be found out at this moment; any other error says that it couldn't be found out.
	Caller(r *http.Request) (Caller, error)
}

var (
	// ErrUnauthenticated says that a request doesn't prove who made it.
	ErrUnauthenticated = errors.New("the request has no valid token")
	// ErrNotListed says that a request's token is of an account that speaks for no hub.
	ErrNotListed = errors.New("the token's account speaks for no hub; --account of the launcher lists those that do")
	// ErrBusy says that so many tokens are being asked about that another one has to wait.
	ErrBusy = errors.New("the API server is being asked about too many new tokens at once")
)

// Local takes whoever can reach the listener for the owner of these hubs: on a unix socket that is a matter of the file system.
type Local []string

// Caller is part of Callers.
func (l Local) Caller(*http.Request) (Caller, error) {
	return Caller{Name: "socket", Hubs: l}, nil
}

type callerKey struct{}

func withCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// mayUse says whether whoever made the request speaks for a hub. No caller: no.
func mayUse(ctx context.Context, hub string) bool {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return slices.Contains(c.Hubs, hub)
}
