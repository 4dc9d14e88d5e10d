package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxBody bounds a request's body: a Secret holds 1 MiB, and an environment is a part of it.
	maxBody = 1 << 20
	// bodyTime bounds how long a body may take to arrive.
	bodyTime = 10 * time.Second
)

// ServeHTTP serves the API. What comes before the operations is here: who asks, and whether it is a request at all.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &seen{started: time.Now(), operation: noOperation}
	answer := &recorder{ResponseWriter: w}
	requestsInFlight.Inc()
	defer requestsInFlight.Dec()
	defer h.note(answer, r, seen)
	defer h.recovered(answer, seen)
	r = r.WithContext(seen.in(r.Context()))
	// There is one form of answer, whatever is asked for.
	r.Header.Del("Accept")
	if p := h.serve(answer, r, seen); p != nil {
		seen.code = p.Code
		p.write(answer)
	}
}

// serve gives what is wrong where it hasn't answered.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, seen *seen) *Problem {
	caller, err := h.callers.Caller(r)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return problem(http.StatusUnauthorized, CodeUnauthenticated, err.Error()+" for the audience "+Audience).with("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrNotListed):
		return problem(http.StatusForbidden, CodeHubNotAllowed, err.Error())
	case errors.Is(err, ErrBusy):
		return problem(http.StatusTooManyRequests, CodeTooManyRequests, err.Error()).later(soon)
	case err != nil:
		h.log.Error(err, "can't find out who asks")
		return problem(http.StatusServiceUnavailable, CodeClusterUnavailable, "can't find out who asks: "+err.Error()).later(soon)
	}
	seen.caller = caller.Name
	r = withCaller(r, caller)
	if p := readable(r.URL); p != nil {
		return p
	}
	next, pattern := h.mux.Handler(r)
	if pattern == "" {
		return refused(next, r)
	}
	if r.Method == http.MethodPut {
		if p := readBody(w, r); p != nil {
			return p
		}
	}
	h.mux.ServeHTTP(w, r)
	return nil
}

// readable refuses what would be read otherwise than it was written: bytes that are no text become others in JSON.
func readable(u *url.URL) *Problem {
	path := u.EscapedPath()
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		// ServeMux redirects these to another path.
		if segment == "" || segment == "." || segment == ".." {
			return problem(http.StatusNotFound, CodeNoSuchPath, "the API has no path with an empty, . or .. segment; write %2E for a dot")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return problem(http.StatusBadRequest, CodeBadRequest, "the query can't be read: "+err.Error())
	}
	valid := utf8.ValidString(u.Path)
	for name, values := range query {
		valid = valid && utf8.ValidString(name)
		for _, value := range values {
			valid = valid && utf8.ValidString(value)
		}
	}
	if !valid {
		return problem(http.StatusBadRequest, CodeBadRequest, "path and query must be UTF-8, percent-encoded")
	}
	return nil
}

// refused tells what ServeMux has against a request.
func refused(by http.Handler, r *http.Request) *Problem {
	said := &onlyHeader{header: http.Header{}}
	by.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		return problem(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "this path takes "+allow).with("Allow", allow)
	}
	return problem(http.StatusNotFound, CodeNoSuchPath, "the API has no such path; GET /openapi.json lists those that there are")
}

// onlyHeader takes in an answer without its body.
type onlyHeader struct {
	header http.Header
	status int
}

func (o *onlyHeader) Header() http.Header         { return o.header }
func (o *onlyHeader) WriteHeader(status int)      { o.status = status }
func (o *onlyHeader) Write(b []byte) (int, error) { return len(b), nil }

// readBody has the body read before huma does, which answers 500 to one that breaks off, and leaves its deadline on the
// connection, where it would end a request that takes longer than that.
func readBody(w http.ResponseWriter, r *http.Request) *Problem {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType, "the body must be JSON, with Content-Type: application/json")
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // a recorder of a test has no deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return problem(http.StatusRequestEntityTooLarge, CodeBodyTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, CodeTooSlow, fmt.Sprintf("the body didn't arrive within %s", bodyTime)).later(soon)
	case err != nil:
		return problem(http.StatusBadRequest, CodeBadRequest, "the body can't be read")
	case !utf8.Valid(body):
		return problem(http.StatusBadRequest, CodeBadRequest, "the body isn't UTF-8")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// recovered is deferred: a panic is an error answer, where there was none yet.
func (h *Handler) recovered(w *recorder, seen *seen) {
	p := recover()
	if p == nil {
		return
	}
	seen.code = CodeInternal
	if w.status != 0 {
		// huma panics where the client is gone before its answer is.
		h.log.V(1).Info("an answer broke off", "operation", seen.operation, "why", fmt.Sprint(p))
		return
	}
	h.log.Error(fmt.Errorf("panic: %v", p), "a request panicked", "operation", seen.operation, "stack", string(debug.Stack()))
	problem(http.StatusInternalServerError, CodeInternal, "the launcher failed; its log says why").write(w)
}
