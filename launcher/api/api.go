// Package api is the launcher's HTTP API: the handlers, the types on the wire, and the OpenAPI description made from them.
package api

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-logr/logr"

	"github.com/slipway-hub/slipway/launcher"
)

// Launcher is what the API offers to hubs; *launcher.Launcher is one.
type Launcher interface {
	Ready() error
	Start(ctx context.Context, r launcher.Request) (*launcher.Server, error)
	Stop(ctx context.Context, k launcher.Key, o launcher.StopOptions) (*launcher.Server, error)
	Get(k launcher.Key) (*launcher.Server, error)
	List(hub string) []*launcher.Server
	Progress(ctx context.Context, k launcher.Key, startID string) iter.Seq[launcher.Step]
	Profiles(ctx context.Context, r launcher.Request) (*launcher.Offer, error)
	Claims(ctx context.Context, hub, user string) ([]launcher.Claim, error)
	DeleteClaims(ctx context.Context, k launcher.Key, allServers bool) ([]launcher.Claim, error)
}

// Options of New.
type Options struct {
	Launcher Launcher
	// Callers says who may come in, and for which hubs.
	Callers Callers
	// Heartbeat is how often a progress stream says that it is alive while there is nothing to tell. 0: 15 s.
	Heartbeat time.Duration
	// Log is told of requests, without what is in them. The zero value is silent.
	Log logr.Logger
}

// Handler serves the API.
type Handler struct {
	launcher  Launcher
	callers   Callers
	heartbeat time.Duration
	log       logr.Logger
	mux       *http.ServeMux
	api       huma.API

	drain    sync.Once
	draining chan struct{}
}

// heartbeat keeps proxies and load balancers, which give idle connections up after a minute or so, from cutting streams.
const heartbeat = 15 * time.Second

// New makes the handler.
func New(o Options) *Handler {
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = heartbeat
	}
	h := &Handler{
		launcher: o.Launcher, callers: o.Callers, heartbeat: o.Heartbeat, log: o.Log,
		mux: http.NewServeMux(), draining: make(chan struct{}),
	}
	h.api = humago.New(h.mux, configuration())
	h.api.UseMiddleware(h.admit, strictQuery)
	h.register()
	describe(h.api.OpenAPI())
	h.serveDescription()
	return h
}

// Drain ends all progress streams, now and from now on; their clients ask again, and find another replica. Other requests go on.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.draining) }) }
