package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers the metrics of Go and of the process
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Values of the label result.
const (
	resultOK = "ok"
	// resultRefused: the request, policy or the state of the cluster is in the way.
	resultRefused = "refused"
	// resultError: the launcher, or what it needs, failed.
	resultError = "error"
)

// Values of the label result of token reviews.
const (
	reviewTaken   = "taken"
	reviewRefused = "refused"
	reviewFailed  = "failed"
)

// noOperation stands in the label operation for requests that no operation answers.
const noOperation = "none"

// What METRICS.md explains. Labels have values that we choose: none is what a caller sent.
var (
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_launcher_requests_total",
		Help: "Requests of hubs, by operation, result (ok, refused, error) and the problem's code.",
	}, []string{"operation", "result", "code"})

	requestDurations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "slipway_launcher_request_duration_seconds",
		Help:    "Time from reading a request to having written its answer; progress streams, which last as long as a start, aren't in it.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"operation"})

	requestsInFlight = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_launcher_requests_in_flight",
		Help: "Requests that are being answered, progress streams among them.",
	})

	streams = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_launcher_progress_streams",
		Help: "Progress streams that are open.",
	})

	tokenReviews = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_launcher_token_reviews_total",
		Help: "Questions to the API server whose token a hub's is, by result (taken, refused, failed). Answers are kept for a minute.",
	}, []string{"result"})
)

func init() {
	// The registry that controller-runtime's metrics server serves.
	metrics.Registry.MustRegister(requests, requestDurations, requestsInFlight, streams, tokenReviews)
	// The first of a series that begins at 1 is none to rate(). Refusals have too many codes for that.
	for _, operation := range operationIDs {
		requests.WithLabelValues(operation, resultOK, "")
		for _, code := range []string{CodeInternal, CodeClusterUnavailable, CodeNotReady, CodeTimeout} {
			requests.WithLabelValues(operation, resultError, code)
		}
		if operation != idProgress {
			requestDurations.WithLabelValues(operation)
		}
	}
	for _, result := range []string{reviewTaken, reviewRefused, reviewFailed} {
		tokenReviews.WithLabelValues(result)
	}
}

func observe(s *seen, status int) {
	result := resultOK
	switch {
	case status >= http.StatusInternalServerError:
		result = resultError
	case status >= http.StatusBadRequest:
		result = resultRefused
	}
	requests.WithLabelValues(s.operation, result, s.code).Inc()
	if s.operation != idProgress {
		requestDurations.WithLabelValues(s.operation).Observe(time.Since(s.started).Seconds())
	}
}
