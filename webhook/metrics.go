package webhook

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// What became of a request: values of the label result.
const (
	resultFitted   = "fitted"
	resultVerified = "verified"
	// resultUntouched: audited policies alone match.
	resultUntouched = "untouched"
	resultIgnored   = "ignored"
	resultDenied    = "denied"
	resultError     = "error"
)

// Reasons of our own failures: values of the label reason, beside the denials' codes. None is made of what a caller
// sent, so their number is bounded.
const (
	reasonBadRequest = "BadRequest"
	reasonInternal   = "InternalError"
	reasonNotReady   = "NotReady"
	reasonTooMany    = "TooManyRequests"
	reasonTimeout    = "Timeout"
)

// outcome of one request, as metrics count it. The reason is empty where there is nothing to explain.
type outcome struct{ result, reason string }

var (
	admissions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_admissions_total",
		Help: "Admission requests by webhook, result (fitted, verified, untouched, ignored, denied, error) and reason code.",
	}, []string{"webhook", "result", "reason"})

	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "slipway_admission_duration_seconds",
		Help:    "Time from reading an admission request to having written its answer.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"webhook"})

	auditReports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_audit_reports_total",
		Help: "Requests that audited policies match, by webhook, what would become of them if those policies were enforced " +
			"(denied, admitted, changed, unchanged), and the reason code of the denial that there would be.",
	}, []string{"webhook", "outcome", "reason"})

	droppedEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "slipway_events_dropped_total",
		Help: "Events of denials and audits that were not written: too many at a time, or the API server refused them.",
	})
)

func init() {
	// The registry that controller-runtime's metrics server serves.
	metrics.Registry.MustRegister(admissions, durations, auditReports, droppedEvents)
}

func observe(webhook string, o outcome, started time.Time) {
	admissions.WithLabelValues(webhook, o.result, o.reason).Inc()
	durations.WithLabelValues(webhook).Observe(time.Since(started).Seconds())
}

// outcomeOf reads the outcome from an answer.
func outcomeOf(r *admission.Response) outcome {
	switch reason := r.AuditAnnotations[auditReason]; {
	case r.Allowed && r.AuditAnnotations[auditEnforcement] != "":
		return outcome{result: resultUntouched}
	case r.Allowed && len(r.Patch) > 0:
		return outcome{result: resultFitted}
	case r.Allowed && r.AuditAnnotations[auditPolicies] != "":
		return outcome{result: resultVerified}
	case r.Allowed:
		return outcome{result: resultIgnored}
	case reason != "":
		return outcome{resultDenied, reason}
	case r.Result != nil && r.Result.Code == statusNotReady:
		return outcome{resultError, reasonNotReady}
	case r.Result != nil && r.Result.Code == http.StatusTooManyRequests:
		return outcome{resultError, reasonTooMany}
	case r.Result != nil && r.Result.Code == http.StatusGatewayTimeout:
		return outcome{resultError, reasonTimeout}
	case r.Result != nil && r.Result.Code < 500:
		return outcome{resultError, reasonBadRequest}
	}
	return outcome{resultError, reasonInternal}
}
