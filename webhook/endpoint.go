package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"
)

const (
	// maxBody bounds a request. The API server takes objects of 3 MiB at most, and etcd stores 1.5 MiB, so this is an update
	// of the largest pod to the largest, and some more.
	maxBody = 5 << 20
	// maxKeptBuffer keeps one huge request from holding its memory for ever.
	maxKeptBuffer = 256 << 10
)

// endpoint reads an AdmissionReview from an HTTP request, has it handled, and writes the answer.
//
// It stands in for admission.Webhook's own ServeHTTP, which answers a body that is no AdmissionReview with status 200
// and an error inside; here that is a 400 that says why, at no second decoding.
type endpoint struct {
	// webhook is its name in metrics.
	webhook string
	handler admission.Handler
	// inFlight bounds how many requests are decided at once; nil: no bound.
	inFlight inFlight
	// tracing may be nil.
	tracing *tracing
	log     logr.Logger
}

// inFlight has room for as many requests as are decided at once. Both webhooks for pods share one: the work is all processor time,
// and more of it at once makes each slower and none faster.
type inFlight chan struct{}

// inFlightPerProcessor is far above what is under way when requests take a millisecond; what it bounds is a pile-up.
const inFlightPerProcessor = 32

func newInFlight() inFlight {
	limit := inFlightPerProcessor * runtime.GOMAXPROCS(0)
	decidingLimit.Set(float64(limit))
	return make(inFlight, limit)
}

// enter says whether there is room, and takes it.
func (f inFlight) enter() bool {
	if f == nil {
		return true
	}
	select {
	case f <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f inFlight) leave() {
	if f != nil {
		<-f
	}
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	r, span := e.tracing.begin(r, e.webhook, started)
	became := e.serve(w, r, span)
	observe(e.webhook, became, started)
	span.end(became)
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request, span *requestSpan) outcome {
	review, err := readReview(w, r)
	if err != nil {
		status := statusOf(err)
		e.log.Info("refused a request that is no AdmissionReview", "status", status, "reason", err.Error())
		http.Error(w, "Slipway "+reasonBadRequest+": "+err.Error(), status)
		return outcome{result: resultError, reason: reasonBadRequest}
	}
	span.asks(review.Request)
	request := admission.Request{AdmissionRequest: *review.Request}
	response := e.decide(r, request)
	if err := response.Complete(request); err != nil {
		e.log.Error(err, "can't complete an answer", "uid", request.UID)
		response = internalError(request.UID)
	}
	e.write(w, &response)
	return outcomeOf(&response)
}

// decide has the request handled within its time. A panic is an error answer.
func (e *endpoint) decide(r *http.Request, request admission.Request) (response admission.Response) {
	if !e.inFlight.enter() {
		return tooMany()
	}
	defer e.inFlight.leave()
	now := deciding.WithLabelValues(e.webhook)
	now.Inc()
	defer now.Dec()
	defer func() {
		if p := recover(); p != nil {
			e.log.Error(fmt.Errorf("panic: %v", p), "deciding on a pod panicked", "uid", request.UID, "stack", string(debug.Stack()))
			response = internalError(request.UID)
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), deadlineOf(r))
	defer cancel()
	response = e.handler.Handle(ctx, request)
	if ctx.Err() != nil && response.Allowed {
		return timedOut() // nobody waits for it any more, and half an answer must not pass for one
	}
	return response
}

// deadlineOf is how long the API server waits: it says so in the URL.
func deadlineOf(r *http.Request) time.Duration {
	if d, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && d > 0 && d < maxDeadline {
		return d
	}
	return maxDeadline
}

// maxDeadline is the longest timeout that a webhook can be registered with.
const maxDeadline = 30 * time.Second

// errBody is what is wrong with a request, and the HTTP status to say it with.
type errBody struct {
	status int
	reason string
}

func (e errBody) Error() string { return e.reason }

func statusOf(err error) int {
	if bad, ok := errors.AsType[errBody](err); ok {
		return bad.status
	}
	return http.StatusBadRequest
}

// buffers hold request bodies while they are decoded; nothing that was decoded points into them.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readReview(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, errBody{http.StatusMethodNotAllowed, "send an AdmissionReview by POST, not " + r.Method}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errBody{http.StatusBadRequest, fmt.Sprintf("the content type is %q; send application/json", r.Header.Get("Content-Type"))}
	}
	body, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= maxKeptBuffer {
			body.Reset()
			buffers.Put(body)
		}
	}()
	if n := r.ContentLength; n > 0 && n <= maxKeptBuffer { // a larger one has to come before it takes memory
		body.Grow(int(n) + bytes.MinRead) // so that ReadFrom meets the end without growing
	}
	defer boundReading(w, r)()
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, errBody{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody)}
		}
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return decodeReview(body.Bytes())
}

// boundReading keeps a caller who never ends his request from holding it open for ever. What it gives ends the bound; else the
// request would end with it while it is answered. A writer that knows no deadlines (a test's) has none.
func boundReading(w http.ResponseWriter, r *http.Request) func() {
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(deadlineOf(r))) != nil {
		return func() {}
	}
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

func decodeReview(body []byte) (*admissionv1.AdmissionReview, error) {
	if len(body) == 0 {
		return nil, errors.New("the body is empty; send an AdmissionReview")
	}
	review := &admissionv1.AdmissionReview{}
	// Case-sensitive, as the API server is: else "Object" could hide "object".
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(body, review); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	switch want := admissionv1.SchemeGroupVersion.String(); {
	case review.Kind != "AdmissionReview" || review.APIVersion != want:
		return nil, fmt.Errorf("the body is kind %q of %q; send an AdmissionReview of %s", review.Kind, review.APIVersion, want)
	case review.Request == nil:
		return nil, errors.New("the AdmissionReview has no request")
	case review.Request.UID == "":
		return nil, errors.New("the AdmissionReview's request has no uid")
	}
	return review, nil
}

func (e *endpoint) write(w http.ResponseWriter, response *admission.Response) {
	review := admissionv1.AdmissionReview{Response: &response.AdmissionResponse}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	if err != nil { // can't be: the type has nothing that doesn't encode
		e.log.Error(err, "can't encode an answer", "uid", response.UID)
		http.Error(w, "Slipway "+reasonInternal+": see the webhook's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		e.log.V(1).Info("the caller didn't wait for the answer", "uid", response.UID, "error", err.Error())
	}
}
