package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-hub/slipway/launcher"
)

// startDefault and startNamed ask for a server.
type (
	startDefault struct {
		OfUser
		Body Start
	}
	startNamed struct {
		OfNamed
		Body Start
	}
)

// HowToStop is in the query of a stop.
type HowToStop struct {
	GracePeriodSeconds optional[int64] `query:"gracePeriodSeconds" doc:"How long the server has to end; left out: a second; 0: at once." maximum:"86400" minimum:"0"`
	WaitSeconds        int64           `query:"waitSeconds"        doc:"How long to wait until its pod is gone; left out: not at all."   maximum:"600"   minimum:"0"`
}

type (
	stopDefault struct {
		OfUser
		HowToStop
	}
	stopNamed struct {
		OfNamed
		HowToStop
	}
)

func (h *Handler) registerServers() {
	server := reflect.TypeFor[Server]()

	get := h.operation(idGet, http.MethodGet, defaultPath, "A server", http.StatusOK, map[int]string{
		http.StatusNotFound: "No pod of this server is there (NotFound), or the API has no such path (NoSuchPath).",
	})
	huma.Register(h.api, get, func(ctx context.Context, in *OfUser) (*answered[*Server], error) { return h.get(ctx, in.key()) })
	huma.Register(h.api, named(get), func(ctx context.Context, in *OfNamed) (*answered[*Server], error) { return h.get(ctx, in.key()) })

	start := h.operation(idStart, http.MethodPut, defaultPath, "Start a server", http.StatusCreated, asking, map[int]string{
		http.StatusForbidden:             "Policy refuses (the first reason's code), quota has no room (QuotaExceeded), or the caller doesn't speak for this hub (HubNotAllowed).",
		http.StatusRequestTimeout:        "The body didn't arrive in time (TooSlow).",
		http.StatusRequestEntityTooLarge: "The body is larger than 1 MiB (BodyTooLarge).",
		http.StatusUnsupportedMediaType:  "The body isn't JSON (UnsupportedMediaType).",
	})
	start.Description = "Returns once policy has admitted the server's pod and its environment is stored; watchProgress tells how it comes up. " +
		"The same startId again, here or at another replica, is the same start."
	start.MaxBodyBytes, start.BodyReadTimeout = -1, -1 // readBody has seen to both
	h.answersToo(&start, http.StatusOK, "This start had been made already.", server)
	huma.Register(h.api, start, func(ctx context.Context, in *startDefault) (*answered[*Server], error) {
		return h.start(ctx, in.key(), &in.Body)
	})
	huma.Register(h.api, named(start), func(ctx context.Context, in *startNamed) (*answered[*Server], error) {
		return h.start(ctx, in.key(), &in.Body)
	})

	stop := h.operation(idStop, http.MethodDelete, defaultPath, "Stop a server", http.StatusAccepted, asking)
	stop.Description = "Its homes stay."
	h.answersToo(&stop, http.StatusNoContent, "It is gone, or wasn't there.", nil)
	huma.Register(h.api, stop, func(ctx context.Context, in *stopDefault) (*answered[*Server], error) {
		return h.stop(ctx, in.key(), in.HowToStop)
	})
	huma.Register(h.api, named(stop), func(ctx context.Context, in *stopNamed) (*answered[*Server], error) {
		return h.stop(ctx, in.key(), in.HowToStop)
	})
}

func (h *Handler) list(hub string) *answered[Servers] {
	all := make([]*Server, 0)
	for _, s := range h.launcher.List(hub) {
		all = append(all, serverOf(s))
	}
	return &answered[Servers]{Status: http.StatusOK, Body: Servers{all}}
}

func (h *Handler) get(ctx context.Context, k launcher.Key) (*answered[*Server], error) {
	s, err := h.launcher.Get(k)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &answered[*Server]{http.StatusOK, serverOf(s)}, nil
}

func (h *Handler) start(ctx context.Context, k launcher.Key, body *Start) (*answered[*Server], error) {
	before, err := h.launcher.Get(k)
	if err != nil && !errors.Is(err, launcher.ErrNotFound) {
		return nil, failed(ctx, err)
	}
	s, err := h.launcher.Start(ctx, body.request(k))
	if err != nil {
		return nil, failed(ctx, err)
	}
	status := http.StatusCreated
	if before != nil && before.UID == s.UID {
		status = http.StatusOK
	}
	return &answered[*Server]{status, serverOf(s)}, nil
}

func (h *Handler) stop(ctx context.Context, k launcher.Key, how HowToStop) (*answered[*Server], error) {
	o := launcher.StopOptions{Wait: time.Duration(how.WaitSeconds) * time.Second}
	if how.GracePeriodSeconds.given {
		o.GracePeriod = new(time.Duration(how.GracePeriodSeconds.value()) * time.Second)
	}
	s, err := h.launcher.Stop(ctx, k, o)
	switch {
	case errors.Is(err, launcher.ErrNotFound), err == nil && s == nil:
		return &answered[*Server]{Status: http.StatusNoContent}, nil
	case err != nil:
		return nil, failed(ctx, err)
	}
	return &answered[*Server]{http.StatusAccepted, serverOf(s)}, nil
}

const (
	// maxEnvironment leaves room in a Secret of 1 MiB for its keys and metadata.
	maxEnvironment = 900 << 10
	// variablePattern is what Kubernetes takes as a key of a Secret, but for a dot at the start.
	variablePattern = `^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$`
	maxVariable     = 253
)

var variable = regexp.MustCompile(variablePattern)

// tlsFiles are those that the launcher mounts.
var tlsFiles = []any{"ssl.key", "ssl.crt", "notebooks-ca_trust.crt"}

// Resolve is part of huma.ResolverWithPath: it judges what huma can't, and quotes no value.
func (s *Start) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	var wrong []error
	size := 0
	for name, value := range s.Env {
		size += len(name) + len(value)
		if len(name) > maxVariable || !variable.MatchString(name) {
			wrong = append(wrong, &huma.ErrorDetail{
				Location: at.With("body.env"), Message: fmt.Sprintf("%q can't be the key of a Secret: letters, digits, -, _ and dots, at most %d", name, maxVariable),
			})
		}
	}
	for name, value := range s.Files {
		size += len(name) + len(value)
		if !isTLSFile(name) {
			wrong = append(wrong, &huma.ErrorDetail{Location: at.With("body.files"), Message: fmt.Sprintf("%q isn't one of %v", name, tlsFiles)})
		}
	}
	if size > maxEnvironment {
		wrong = append(wrong, &huma.ErrorDetail{
			Location: at.With("body.env"), Message: fmt.Sprintf("has %d bytes with files; a Secret has room for %d", size, maxEnvironment),
		})
	}
	return wrong
}

func isTLSFile(name string) bool {
	for _, known := range tlsFiles {
		if name == known {
			return true
		}
	}
	return false
}
