package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"
)

const (
	// maxBody bounds a request. The API server takes objects of 3 MiB at most, and etcd stores 1.5 MiB.
	maxBody = 3 << 20
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
	log     logr.Logger
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	review, err := readReview(w, r)
	if err != nil {
		status := statusOf(err)
		e.log.Info("refused a request that is no AdmissionReview", "status", status, "reason", err.Error())
		observe(e.webhook, outcome{result: resultError, reason: reasonBadRequest}, started)
		http.Error(w, "Slipway "+reasonBadRequest+": "+err.Error(), status)
		return
	}
	request := admission.Request{AdmissionRequest: *review.Request}
	response := e.handler.Handle(r.Context(), request)
	if err := response.Complete(request); err != nil {
		e.log.Error(err, "can't complete an answer", "uid", request.UID)
		response = internalError(request.UID)
	}
	e.write(w, &response)
	observe(e.webhook, outcomeOf(&response), started)
}

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
	if n := r.ContentLength; n > 0 && n <= maxBody {
		body.Grow(int(n) + bytes.MinRead) // so that ReadFrom meets the end without growing
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, errBody{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody)}
		}
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return decodeReview(body.Bytes())
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
