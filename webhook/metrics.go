package webhook

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers the metrics of Go and of the process
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

// The webhooks' names: values of the label webhook.
const (
	mutates           = "mutate"
	verifies          = "verify"
	validatesPolicies = "validate-policy"
)

// Values of the label result of what a replica writes into the cluster.
const (
	resultWritten = "written"
	resultFailed  = "failed"
	// resultOutdated: somebody else changed or deleted it meanwhile. It is as it should be, and tried again.
	resultOutdated = "outdated"
)

// shortTimes are buckets around what admission takes: a millisecond, and 5 s where the API server gives up.
var shortTimes = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// What METRICS.md explains. Labels have values that we choose, or are as many as there are policies: none is what a
// caller of an admission request sent.
var (
	admissions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_admissions_total",
		Help: "Admission requests by webhook, result (fitted, verified, untouched, ignored, denied, error) and reason code.",
	}, []string{"webhook", "result", "reason"})

	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "slipway_admission_duration_seconds",
		Help:    "Time from reading an admission request to having written its answer.",
		Buckets: shortTimes,
	}, []string{"webhook"})

	engineDurations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "slipway_engine_duration_seconds",
		Help:    "Time that an admission request spends in the policy engine alone; requests that need no decision aren't in it.",
		Buckets: shortTimes,
	}, []string{"webhook"})

	deciding = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "slipway_admissions_in_flight",
		Help: "Admission requests that are being decided.",
	}, []string{"webhook"})

	decidingLimit = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_admissions_in_flight_limit",
		Help: "How many requests mutate and verify together decide at once; what is beyond is refused as TooManyRequests.",
	})

	auditReports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_audit_reports_total",
		Help: "Requests that audited policies match, by webhook, what would become of them if those policies were enforced " +
			"(denied, admitted, changed, unchanged), and the reason code of the denial that there would be.",
	}, []string{"webhook", "outcome", "reason"})

	compileDurations = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "slipway_policies_compile_duration_seconds",
		Help:    "Time to compile the policies after one of them changed. Until then requests are answered by those before.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	})

	queuedEvents = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_events_queued",
		Help: "Events of denials and audits that wait to be written.",
	})

	writtenEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "slipway_events_written_total",
		Help: "Events of denials and audits that were written.",
	})

	droppedEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "slipway_events_dropped_total",
		Help: "Events of denials and audits that were not written: too many at a time, or the API server refused them.",
	})

	replicaReports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_replica_reports_total",
		Help: "Reports of this replica, in its Lease, by which policies it answers, by result (written, outdated, failed).",
	}, []string{"result"})

	statusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_policy_status_writes_total",
		Help: "Writes of policies' status by this replica while it leads, by result (written, outdated, failed).",
	}, []string{"result"})

	companionWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_companion_writes_total",
		Help: "Claims and Services of servers (object) that this replica made, changed or deleted while it leads, by result (written, outdated, failed).",
	}, []string{"object", "result"})
	claimWrites   = companionWrites.MustCurryWith(prometheus.Labels{"object": "claim"})
	serviceWrites = companionWrites.MustCurryWith(prometheus.Labels{"object": "service"})

	leading = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_leader",
		Help: "1 in the replica that writes the policies' status and makes claims and Services, else 0.",
	})

	buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "slipway_build_info",
		Help: "1, with the webhook's version and that of Go.",
	}, []string{"version", "goversion"})

	readiness = &policyReadiness{desc: prometheus.NewDesc("slipway_policy_ready",
		"1 if nothing is wrong with the policy by itself, 0 if it is invalid and, unless it is audited, denies what it matches.",
		[]string{"kind", "policy_namespace", "policy_name"}, nil)}

	cacheAges = &ages{desc: prometheus.NewDesc("slipway_cache_age_seconds",
		"Time since the API server last sent anything for the cache of this kind. Mostly there is a bookmark every minute, and a watch lasts ten at most: what is older has a broken one.",
		[]string{"kind"}, nil)}
)

func init() {
	// The registry that controller-runtime's metrics server serves.
	metrics.Registry.MustRegister(admissions, durations, engineDurations, deciding, decidingLimit, auditReports, compileDurations,
		queuedEvents, writtenEvents, droppedEvents, replicaReports, statusWrites, companionWrites, leading, buildInfo, readiness, cacheAges)
	startAtZero()
}

// startAtZero has what can happen counted as 0 before it does: the first of a series that begins at 1 is none to rate().
// Denials have too many reasons for that.
func startAtZero() {
	for webhook, results := range map[string][]string{
		mutates:           {resultFitted, resultUntouched, resultIgnored},
		verifies:          {resultVerified, resultUntouched, resultIgnored},
		validatesPolicies: {resultVerified, resultIgnored},
	} {
		for _, result := range results {
			admissions.WithLabelValues(webhook, result, "")
		}
		for _, reason := range []string{reasonBadRequest, reasonInternal, reasonNotReady, reasonTooMany, reasonTimeout} {
			admissions.WithLabelValues(webhook, resultError, reason)
		}
		durations.WithLabelValues(webhook)
		engineDurations.WithLabelValues(webhook)
		deciding.WithLabelValues(webhook)
	}
	for _, result := range []string{resultWritten, resultOutdated, resultFailed} {
		replicaReports.WithLabelValues(result)
		statusWrites.WithLabelValues(result)
		claimWrites.WithLabelValues(result)
		serviceWrites.WithLabelValues(result)
	}
}

func observe(webhook string, o outcome, started time.Time) {
	admissions.WithLabelValues(webhook, o.result, o.reason).Inc()
	durations.WithLabelValues(webhook).Observe(time.Since(started).Seconds())
}

// countWrite counts a write into the cluster by what became of it.
func countWrite(writes *prometheus.CounterVec, err error) {
	result := resultWritten
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		result = resultOutdated
	case err != nil:
		result = resultFailed
	}
	writes.WithLabelValues(result).Inc()
}

// stopwatch takes the time that a request spends in the engine.
type stopwatch struct {
	webhook string
	started time.Time
	span    trace.Span // nil: it isn't traced
}

func enterEngine(ctx context.Context, webhook string, t *tracing) stopwatch {
	return stopwatch{webhook, time.Now(), t.inEngine(ctx)}
}

// leave is deferred: a panic takes time too.
func (s stopwatch) leave() {
	engineDurations.WithLabelValues(s.webhook).Observe(time.Since(s.started).Seconds())
	if s.span != nil {
		s.span.End()
	}
}

// policyReadiness tells of the policies of the current set, all of them at one moment.
type policyReadiness struct {
	desc    *prometheus.Desc
	current atomic.Pointer[[]readyPolicy]
}

type readyPolicy struct {
	kind, namespace, name string
	ready                 bool
}

// Describe is part of prometheus.Collector.
func (r *policyReadiness) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect is part of prometheus.Collector.
func (r *policyReadiness) Collect(to chan<- prometheus.Metric) {
	current := r.current.Load()
	if current == nil {
		return
	}
	for _, p := range *current {
		value := 0.0
		if p.ready {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, value, p.kind, p.namespace, p.name)
	}
}

// follow tells of these policies from now on, and of no others.
func (r *policyReadiness) follow(objects []unstructured.Unstructured, verdicts map[types.UID]verdict) {
	current := make([]readyPolicy, 0, len(objects))
	for i := range objects {
		o := &objects[i]
		current = append(current, readyPolicy{o.GetKind(), o.GetNamespace(), o.GetName(), verdicts[o.GetUID()].ready.Status == metav1.ConditionTrue})
	}
	r.current.Store(&current)
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
