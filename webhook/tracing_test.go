package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// receiver is a collector of OpenTelemetry's, as far as it takes spans.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	address string
	mu      sync.Mutex
	spans   []*tracev1.Span
	all     strings.Builder // what came over the wire, as text
}

func receive(t *testing.T) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &receiver{address: listener.Addr().String()}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		assert.NoError(t, <-served)
	})
	return r
}

// Export is called by those who send.
func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.WriteString(request.String())
	for _, of := range request.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			r.spans = append(r.spans, in.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// traced sends a review to an endpoint that traces, with a traceparent if there is one, and gives the spans that arrive by name.
func (r *receiver) traced(t *testing.T, ratio float64, traceparent string, endpointOf func(*tracing) *endpoint, body []byte) map[string]*tracev1.Span {
	t.Helper()
	tracing, err := newTracing(t.Context(), &Options{
		Tracing: Tracing{Endpoint: r.address, SamplingRatio: ratio}, Version: "v1", Namespace: "slipway-system", Identity: "a", Log: logr.Discard(),
	})
	require.NoError(t, err)
	e := endpointOf(tracing)
	e.tracing = tracing
	request := httptest.NewRequest(http.MethodPost, MutatePath, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if traceparent != "" {
		request.Header.Set("Traceparent", traceparent)
	}
	e.ServeHTTP(httptest.NewRecorder(), request)
	tracing.end(t.Context())
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := map[string]*tracev1.Span{}
	for _, span := range r.spans {
		spans[span.GetName()] = span
	}
	r.spans = nil
	return spans
}

// mutating is an endpoint whose engine does this; nil: what policies say.
func mutating(t *testing.T, does engine) func(*tracing) *endpoint {
	t.Helper()
	return func(tracing *tracing) *endpoint {
		m := testMutator(t)
		m.webhook, m.tracing = mutates, tracing
		if does != nil {
			m.engine = does
		}
		return &endpoint{webhook: mutates, handler: m, log: logr.Discard()}
	}
}

func attributesOf(s *tracev1.Span) map[string]string {
	attributes := map[string]string{}
	for _, a := range s.GetAttributes() {
		attributes[a.GetKey()] = a.GetValue().GetValue().(*commonv1.AnyValue_StringValue).StringValue
	}
	return attributes
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestARequestIsTracedBelowTheAPIServersSpan(t *testing.T) {
	r := receive(t)
	spans := r.traced(t, 0, sampled, mutating(t, nil), readReviewFile(t))
	require.Equal(t, []string{"engine", "mutate"}, slices.Sorted(maps.Keys(spans)))
	request, engine := spans["mutate"], spans["engine"]
	assert.Equal(t, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", string(request.GetTraceId()))
	assert.Equal(t, "\xb7\xad\x6b\x71\x69\x20\x33\x31", string(request.GetParentSpanId()))
	assert.Equal(t, tracev1.Span_SPAN_KIND_SERVER, request.GetKind())
	assert.Equal(t, request.GetTraceId(), engine.GetTraceId())
	assert.Equal(t, request.GetSpanId(), engine.GetParentSpanId())
	assert.GreaterOrEqual(t, engine.GetStartTimeUnixNano(), request.GetStartTimeUnixNano())
	assert.LessOrEqual(t, engine.GetEndTimeUnixNano(), request.GetEndTimeUnixNano())
	assert.Equal(t, map[string]string{
		"slipway.webhook": "mutate", "k8s.namespace.name": "research", "slipway.operation": "CREATE",
		"slipway.uid": "7f833006-59d2-4768-8474-c2b82536b690", "slipway.result": "fitted",
	}, attributesOf(request))
	assert.Empty(t, engine.GetAttributes())
	for _, about := range []string{`"slipway-webhook"`, `"service.version"`, `"v1"`, `"slipway-system"`} {
		assert.Contains(t, r.all.String(), about)
	}
}

func TestWhetherARequestIsTracedIsTheCallersWordThenTheRatios(t *testing.T) {
	r := receive(t)
	for name, c := range map[string]struct {
		ratio       float64
		traceparent string
		spans       int
	}{
		"the caller traces":                      {0, sampled, 2},
		"the caller doesn't":                     {1, unsampled, 0},
		"the caller says nothing, and all are":   {1, "", 2},
		"the caller says nothing, and none is":   {0, "", 0},
		"the caller says what nobody can follow": {1, "00-zz-zz-01", 2},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Len(t, r.traced(t, c.ratio, c.traceparent, mutating(t, nil), readReviewFile(t)), c.spans)
		})
	}
}

func TestTracesTellWhatBecameOfARequest(t *testing.T) {
	r := receive(t)
	for name, c := range map[string]struct {
		engine         engine
		body           []byte
		spans          []string
		result, reason string
		failed         bool
	}{
		"denied": {engineFunc(func(policy.Input) (policy.Result, bool, error) {
			return policy.Result{Denials: []policy.Denial{{Code: policy.NoPolicy}}}, true, nil
		}), readReviewFile(t), []string{"engine", "mutate"}, resultDenied, "NoPolicy", false},
		"a panic": {engineFunc(func(policy.Input) (policy.Result, bool, error) { panic("at the disco") }),
			readReviewFile(t), []string{"engine", "mutate"}, resultError, reasonInternal, true},
		"no review": {nil, []byte("{}"), []string{"mutate"}, resultError, reasonBadRequest, true},
	} {
		t.Run(name, func(t *testing.T) {
			spans := r.traced(t, 1, "", mutating(t, c.engine), c.body)
			require.Equal(t, c.spans, slices.Sorted(maps.Keys(spans)))
			attributes := attributesOf(spans["mutate"])
			assert.Equal(t, c.result, attributes["slipway.result"])
			assert.Equal(t, c.reason, attributes["slipway.reason"])
			assert.Equal(t, c.failed, spans["mutate"].GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR)
		})
	}
}

func TestTheOtherWebhooksAreTracedToo(t *testing.T) {
	r := receive(t)
	resize := request(t, final(t))
	resize.Operation, resize.SubResource, resize.OldObject = admissionv1.Update, string(policy.Resize), resize.Object
	for name, c := range map[string]struct {
		request admission.Request
		handler func(*tracing) admission.Handler
	}{
		"verify": {request(t, final(t)), func(to *tracing) admission.Handler {
			v := &verifier{testDecider(t)}
			v.tracing = to
			return v
		}},
		"verify an update": {resize, func(to *tracing) admission.Handler {
			v := &verifier{testDecider(t)}
			v.tracing = to
			return v
		}},
		"validate-policy": {writing(t, "{defaults: {image: a}}", ""), func(to *tracing) admission.Handler {
			v := testValidator(t)
			v.tracing = to
			return v
		}},
	} {
		t.Run(name, func(t *testing.T) {
			webhook, _, _ := strings.Cut(name, " ")
			spans := r.traced(t, 1, "", func(to *tracing) *endpoint {
				return &endpoint{webhook: webhook, handler: c.handler(to), log: logr.Discard()}
			}, reviewOf(t, c.request))
			require.Equal(t, []string{"engine", webhook}, slices.Sorted(maps.Keys(spans)))
			assert.Equal(t, string(c.request.Operation), attributesOf(spans[webhook])["slipway.operation"])
			assert.Equal(t, "verified", attributesOf(spans[webhook])["slipway.result"])
		})
	}
}

func TestTracesHoldNothingOfAPod(t *testing.T) {
	r := receive(t)
	const secret = "t0ken-of-somebody"
	req := request(t, func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "JUPYTERHUB_API_TOKEN", Value: secret}}
		p.Annotations[policy.AnnotationOptions] = secret
	})
	require.NotEmpty(t, r.traced(t, 1, "", mutating(t, nil), reviewOf(t, req)))
	req.Namespace = strings.Repeat("n", 1<<20)
	spans := r.traced(t, 1, "", mutating(t, nil), reviewOf(t, req))
	assert.Len(t, attributesOf(spans["mutate"])["k8s.namespace.name"], maxTraced, "what a caller sent is bounded")
	assert.NotContains(t, r.all.String(), secret)
	assert.NotContains(t, r.all.String(), "alice")
}

func TestRequestsDoNotWaitForAReceiverThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := &receiver{address: listener.Addr().String()}
	require.NoError(t, listener.Close())
	started := time.Now()
	assert.Empty(t, nobody.traced(t, 1, "", mutating(t, nil), readReviewFile(t)))
	assert.Less(t, time.Since(started), flushTimeout+time.Second, "the end is bounded")
}

func TestTracingIsOffUnlessItIsAskedFor(t *testing.T) {
	off, err := newTracing(t.Context(), &Options{Tracing: Tracing{SamplingRatio: 1}})
	require.NoError(t, err)
	assert.Nil(t, off)
	off.end(t.Context())
	for _, ratio := range []float64{-0.1, 1.1} {
		_, err = newTracing(t.Context(), &Options{Tracing: Tracing{Endpoint: "127.0.0.1:4317", SamplingRatio: ratio}})
		assert.ErrorContains(t, err, "must be from 0 to 1")
	}
}

// reviewOf is a request as the API server sends it.
func reviewOf(t testing.TB, req admission.Request) []byte {
	t.Helper()
	review := admissionv1.AdmissionReview{Request: &req.AdmissionRequest}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	require.NoError(t, err)
	return body
}
