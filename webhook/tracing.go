package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	w3c "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	admissionv1 "k8s.io/api/admission/v1"
)

// Tracing says where spans of admission requests go.
type Tracing struct {
	// Endpoint is HOST:PORT of a receiver of OTLP over gRPC without TLS, or https://HOST:PORT with it. Empty: nothing is traced.
	Endpoint string
	// SamplingRatio is the part, from 0 to 1, of the requests whose caller hasn't decided whether they are traced.
	SamplingRatio float64
}

const (
	// maxTraced bounds an attribute, in characters: a namespace and an operation are what a caller sent.
	maxTraced = 253
	// flushTimeout bounds the last spans of a replica that ends.
	flushTimeout = 2 * time.Second
)

// tracing makes spans; nil makes none, and costs nothing. What is in a span is what the metrics have, the namespace and
// the request's uid, which the log and the audit log have too: never a pod, which may hold names and tokens.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	// caller reads the traceparent that the API server sends if it traces the request itself.
	caller w3c.TraceContext
	log    logr.Logger
}

// newTracing doesn't reach out to the receiver: while it isn't there, spans are lost and requests are answered.
func newTracing(ctx context.Context, o *Options) (*tracing, error) {
	if o.Tracing.Endpoint == "" {
		return nil, nil //nolint:nilnil // nil traces nothing
	}
	if r := o.Tracing.SamplingRatio; r < 0 || r > 1 {
		return nil, fmt.Errorf("the sampling ratio of traces is %g; it must be from 0 to 1", r)
	}
	to := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(o.Tracing.Endpoint), otlptracegrpc.WithInsecure()}
	if strings.HasPrefix(o.Tracing.Endpoint, "https://") {
		to = []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(o.Tracing.Endpoint)}
	}
	exporter, err := otlptracegrpc.New(ctx, to...)
	if err != nil {
		return nil, fmt.Errorf("send traces to %s: %w", o.Tracing.Endpoint, err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", component), attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Identity), attribute.String("k8s.namespace.name", o.Namespace),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("say in traces what sends them (see OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxTraced
	t := &tracing{log: o.Log.WithName("tracing"), provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Tracing.SamplingRatio))),
	)}
	t.tracer = t.provider.Tracer("github.com/slipway-hub/slipway/webhook")
	// Else what can't be sent is told on standard error, in a form of its own.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.log.Error(err, "can't send traces") }))
	return t, nil
}

// end sends what is left, for a bounded time.
func (t *tracing) end(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Error(err, "can't send the last traces")
	}
}

// begin begins the span of a request, below the caller's if there is one. nil for none; else the request knows of it.
func (t *tracing) begin(r *http.Request, webhook string, started time.Time) (*http.Request, *requestSpan) {
	if t == nil {
		return r, nil
	}
	ctx := t.caller.Extract(r.Context(), w3c.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, webhook, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(started), //nolint:spancheck // requestSpan.end ends it
		trace.WithAttributes(attribute.String("slipway.webhook", webhook)))
	return r.WithContext(ctx), &requestSpan{span} //nolint:spancheck // requestSpan.end ends it
}

// inEngine begins the span of the engine's part. nil for none.
func (t *tracing) inEngine(ctx context.Context) trace.Span {
	if t == nil {
		return nil
	}
	_, span := t.tracer.Start(ctx, "engine") //nolint:spancheck // stopwatch.leave ends it
	return span                              //nolint:spancheck // stopwatch.leave ends it
}

// requestSpan is the span of an admission request; nil is none.
type requestSpan struct{ span trace.Span }

// asks says what the request is about.
func (s *requestSpan) asks(req *admissionv1.AdmissionRequest) {
	if s != nil {
		s.span.SetAttributes(attribute.String("k8s.namespace.name", req.Namespace), attribute.String("slipway.operation", string(req.Operation)),
			attribute.String("slipway.uid", string(req.UID)))
	}
}

// end says what became of it.
func (s *requestSpan) end(o outcome) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.String("slipway.result", o.result))
	if o.reason != "" {
		s.span.SetAttributes(attribute.String("slipway.reason", o.reason))
	}
	if o.result == resultError {
		s.span.SetStatus(codes.Error, o.reason)
	}
	s.span.End()
}
