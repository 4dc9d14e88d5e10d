package api

import (
	"context"
	"net/http"
	"time"
)

// seen is what is known of a request, for the log and the metrics.
type seen struct {
	started time.Time
	// operation is noOperation for what no operation of the API answers.
	operation string
	caller    string
	hub, user string
	server    string
	// code of the problem; empty where all is well.
	code string
	// err is the launcher's, where it is worth a line in the log.
	err error
}

type seenKey struct{}

func (s *seen) in(ctx context.Context) context.Context { return context.WithValue(ctx, seenKey{}, s) }

func seenOf(ctx context.Context) *seen {
	if s, ok := ctx.Value(seenKey{}).(*seen); ok {
		return s
	}
	return &seen{}
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader is part of http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write is part of http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// note counts a request, and writes a line. What changes nothing and goes well is asked for thousands of times a minute.
func (h *Handler) note(w *recorder, r *http.Request, s *seen) {
	observe(s, w.status)
	log := h.log
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && w.status < http.StatusInternalServerError {
		log = log.V(1)
	}
	values := []any{
		"operation", s.operation, "caller", s.caller, "hub", s.hub, "user", s.user, "server", s.server,
		"status", w.status, "code", s.code, "took", time.Since(s.started).String(),
	}
	if s.err != nil && w.status >= http.StatusInternalServerError {
		log.Error(s.err, "request failed", values...)
		return
	}
	log.Info("request", values...)
}
