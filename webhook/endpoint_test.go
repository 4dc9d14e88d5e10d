package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// serving is an endpoint with a handler that a test gives.
func serving(h admission.HandlerFunc) *endpoint {
	return &endpoint{webhook: "test", handler: h, log: logr.Discard()}
}

func TestEndpointRefusesWhatIsNoAdmissionReview(t *testing.T) {
	good := string(readReviewFile(t))
	for name, c := range map[string]struct {
		method, contentType, body string
		status                    int
		says                      string
	}{
		"a GET":                    {http.MethodGet, "application/json", "", http.StatusMethodNotAllowed, "by POST, not GET"},
		"no content type":          {http.MethodPost, "", good, http.StatusBadRequest, `the content type is ""`},
		"another content type":     {http.MethodPost, "application/yaml", good, http.StatusBadRequest, `"application/yaml"; send application/json`},
		"a garbled content type":   {http.MethodPost, ";;", good, http.StatusBadRequest, "send application/json"},
		"no body":                  {http.MethodPost, "application/json", "", http.StatusBadRequest, "the body is empty"},
		"no JSON":                  {http.MethodPost, "application/json", "kind: AdmissionReview", http.StatusBadRequest, "no AdmissionReview: invalid character"},
		"a truncated body":         {http.MethodPost, "application/json", good[:len(good)/2], http.StatusBadRequest, "unexpected end of JSON"},
		"two bodies":               {http.MethodPost, "application/json", good + good, http.StatusBadRequest, "after top-level value"},
		"null":                     {http.MethodPost, "application/json", "null", http.StatusBadRequest, `the body is kind ""`},
		"a list":                   {http.MethodPost, "application/json", "[]", http.StatusBadRequest, "cannot unmarshal array"},
		"an empty object":          {http.MethodPost, "application/json", "{}", http.StatusBadRequest, `the body is kind ""`},
		"a pod":                    {http.MethodPost, "application/json", `{"kind":"Pod","apiVersion":"v1"}`, http.StatusBadRequest, `the body is kind "Pod" of "v1"`},
		"an old version":           {http.MethodPost, "application/json", strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1), http.StatusBadRequest, "admission.k8s.io/v1beta1"},
		"a review without request": {http.MethodPost, "application/json", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, http.StatusBadRequest, "has no request"},
		"Request for request":      {http.MethodPost, "application/json", strings.Replace(good, `"request"`, `"Request"`, 1), http.StatusBadRequest, "has no request"},
		"a request without uid":    {http.MethodPost, "application/json", strings.Replace(good, `"uid"`, `"Uid"`, 1), http.StatusBadRequest, "has no uid"},
		"a wrong type inside":      {http.MethodPost, "application/json", strings.Replace(good, `"CREATE"`, `7`, 1), http.StatusBadRequest, "cannot unmarshal number"},
		"a huge body":              {http.MethodPost, "application/json", good + strings.Repeat(" ", maxBody), http.StatusRequestEntityTooLarge, "more than 5242880 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			e := serving(func(context.Context, admission.Request) admission.Response {
				t.Error("the handler must not be asked")
				return admission.Allowed("")
			})
			before := testutil.ToFloat64(admissions.WithLabelValues("test", resultError, reasonBadRequest))
			for length, body := range map[string]io.Reader{
				"with its length":    strings.NewReader(c.body),
				"without its length": io.MultiReader(strings.NewReader(c.body)),
			} {
				r := httptest.NewRequest(c.method, MutatePath, body)
				r.Header.Set("Content-Type", c.contentType)
				w := httptest.NewRecorder()
				e.ServeHTTP(w, r)
				assert.Equal(t, c.status, w.Code, length)
				assert.True(t, strings.HasPrefix(w.Body.String(), "Slipway BadRequest: "), w.Body.String())
				assert.Contains(t, w.Body.String(), c.says, length)
				assert.NotContains(t, w.Body.String(), "panic")
			}
			assert.InDelta(t, before+2, testutil.ToFloat64(admissions.WithLabelValues("test", resultError, reasonBadRequest)), 0)
		})
	}
}

func TestEndpointAnswersAnAdmissionReviewOfTheSameUID(t *testing.T) {
	for name, contentType := range map[string]string{"plain": "application/json", "with a charset": "application/json; charset=utf-8"} {
		t.Run(name, func(t *testing.T) {
			e := serving(func(context.Context, admission.Request) admission.Response { return admission.Denied("no") })
			r := httptest.NewRequest(http.MethodPost, MutatePath, bytes.NewReader(readReviewFile(t)))
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			review := admissionv1.AdmissionReview{}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &review))
			assert.Equal(t, "AdmissionReview", review.Kind)
			assert.Equal(t, "admission.k8s.io/v1", review.APIVersion)
			assert.Nil(t, review.Request)
			assert.Equal(t, types.UID("7f833006-59d2-4768-8474-c2b82536b690"), review.Response.UID)
			assert.False(t, review.Response.Allowed)
		})
	}
}

// Bodies share buffers, so an answer to one must never hold a piece of another.
func TestEndpointKeepsConcurrentRequestsApart(t *testing.T) {
	e := serving(func(_ context.Context, r admission.Request) admission.Response {
		return admission.Allowed(string(r.UID) + " " + string(r.Object.Raw))
	})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 200 {
				own := strings.Repeat(string(rune('a'+i)), 50*(i+1))
				body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + own + `","object":{"x":"` + own + `"}}}`
				r := httptest.NewRequest(http.MethodPost, MutatePath, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				e.ServeHTTP(w, r)
				review := admissionv1.AdmissionReview{}
				if assert.NoError(t, json.Unmarshal(w.Body.Bytes(), &review)) {
					assert.Equal(t, own+` {"x":"`+own+`"}`, review.Response.Result.Message)
				}
			}
		})
	}
	group.Wait()
}

func TestEndpointCountsWhatBecameOfRequests(t *testing.T) {
	counted := admissions.WithLabelValues("test", resultDenied, "NoPolicy")
	before := testutil.ToFloat64(counted)
	e := serving(func(context.Context, admission.Request) admission.Response {
		r := admission.Denied("no")
		r.AuditAnnotations = map[string]string{auditReason: "NoPolicy"}
		return r
	})
	r := httptest.NewRequest(http.MethodPost, MutatePath, bytes.NewReader(readReviewFile(t)))
	r.Header.Set("Content-Type", "application/json")
	e.ServeHTTP(httptest.NewRecorder(), r)
	assert.InDelta(t, before+1, testutil.ToFloat64(counted), 0)
}

// answered sends the review with a timeout in its URL, as the API server does, and gives the answer.
func answered(t *testing.T, e *endpoint) *metav1.Status {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, MutatePath+"?timeout=20ms", bytes.NewReader(readReviewFile(t)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	review := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &review))
	require.False(t, review.Response.Allowed)
	return review.Response.Result
}

func TestEndpointBoundsWhatIsDecidedAtOnce(t *testing.T) {
	e := serving(func(context.Context, admission.Request) admission.Response { return admission.Denied("decided") })
	e.inFlight = make(inFlight, 1)
	require.True(t, e.inFlight.enter())
	full := answered(t, e)
	assert.EqualValues(t, http.StatusTooManyRequests, full.Code)
	assert.Contains(t, full.Message, "Slipway TooManyRequests: ")
	assert.EqualValues(t, 1, full.Details.RetryAfterSeconds)

	e.inFlight.leave()
	for range 3 {
		assert.Equal(t, "decided", answered(t, e).Message, "each leaves room for the next")
	}
}

func TestEndpointLetsNothingPassAfterItsTime(t *testing.T) {
	late := answered(t, serving(func(ctx context.Context, _ admission.Request) admission.Response {
		<-ctx.Done()
		return admission.Allowed("")
	}))
	assert.EqualValues(t, http.StatusGatewayTimeout, late.Code)
	assert.Contains(t, late.Message, "Slipway Timeout: ")
}

func TestEndpointDoesNotWaitForABodyForEver(t *testing.T) {
	server := httptest.NewServer(serving(func(context.Context, admission.Request) admission.Response { return admission.Denied("no") }))
	defer server.Close()
	body, hold := io.Pipe()
	defer hold.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"?timeout=20ms", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = maxBody
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
}

// discard is a ResponseWriter that keeps the status alone, so that a benchmark measures us and not a recorder.
type discard struct {
	header http.Header
	status int
	size   int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(s int)   { d.status = s }
func (d *discard) Write(b []byte) (int, error) {
	d.size += len(b)
	return len(b), nil
}

// benchmarkEndpoint sends the review, after a change of its pod, again and again.
func benchmarkEndpoint(b *testing.B, m admission.Handler, change func(*corev1.Pod), want outcome) {
	b.Helper()
	req := request(b, change)
	review := admissionv1.AdmissionReview{Request: &req.AdmissionRequest}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	require.NoError(b, err)

	e := &endpoint{webhook: "bench", handler: m, log: logr.Discard()}
	r := httptest.NewRequest(http.MethodPost, MutatePath, nil)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(body))
	reader := bytes.NewReader(nil)
	r.Body = io.NopCloser(reader)
	w := &discard{header: http.Header{}}
	counted := admissions.WithLabelValues("bench", want.result, want.reason)
	before := testutil.ToFloat64(counted)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		reader.Reset(body)
		e.ServeHTTP(w, r)
		n++
	}
	require.InDelta(b, before+float64(n), testutil.ToFloat64(counted), 0, "every answer is the one that is measured")
}
