package webhook

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// eventRate and eventBurst bound what a hub that tries again and again writes into etcd, in Events per second.
	eventRate  = 10
	eventBurst = 50
	// maxEventMessage is the API server's limit on an Event's message, in bytes.
	maxEventMessage = 1024
	// sendTimeout bounds one Event, and drainTimeout all that are left when the replica ends.
	sendTimeout  = 2 * time.Second
	drainTimeout = 2 * time.Second
)

// eventWriter writes an Event into its namespace.
type eventWriter func(ctx context.Context, event *corev1.Event) error

// events tells of denials, and of what audited policies would do, in the pods' namespaces. They are for people to read: some are lost on purpose when there are
// many, and none is ever waited for. nil tells nobody.
type events struct {
	write eventWriter
	limit flowcontrol.RateLimiter
	queue chan *corev1.Event
	log   logr.Logger
}

func newEvents(write eventWriter, log logr.Logger) *events {
	return &events{
		write: write, log: log,
		limit: flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst),
		queue: make(chan *corev1.Event, eventBurst),
	}
}

// denied tells of a pod that is refused for all these reasons, of which there must be one.
func (e *events) denied(req *admission.Request, pod *corev1.Pod, denials []policy.Denial) {
	e.tell(req, func() *corev1.Event { return denialEvent(req.Namespace, pod, denials) })
}

// tell queues an Event, unless there are too many or the request is a dry run.
func (e *events) tell(req *admission.Request, event func() *corev1.Event) {
	if e == nil || (req.DryRun != nil && *req.DryRun) {
		return
	}
	if !e.limit.TryAccept() {
		droppedEvents.Inc()
		return
	}
	select {
	case e.queue <- event():
		queuedEvents.Inc()
	default:
		droppedEvents.Inc()
	}
}

// Start writes what is queued until ctx ends.
func (e *events) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case event := <-e.queue:
			queuedEvents.Dec()
			e.send(context.WithoutCancel(ctx), event)
		}
	}
	return nil
}

// NeedLeaderElection is false: every replica tells of its own denials.
func (e *events) NeedLeaderElection() bool { return false }

// drain writes what is left, for a bounded time.
func (e *events) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for {
		select {
		case event := <-e.queue:
			queuedEvents.Dec()
			e.send(ctx, event)
		default:
			return
		}
	}
}

func (e *events) send(ctx context.Context, event *corev1.Event) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := e.write(ctx, event); err != nil {
		droppedEvents.Inc()
		e.log.Error(err, "can't write an Event", "namespace", event.Namespace, "pod", event.InvolvedObject.Name)
		return
	}
	writtenEvents.Inc()
}

func denialEvent(namespace string, pod *corev1.Pod, denials []policy.Denial) *corev1.Event {
	event := podEvent(namespace, pod)
	event.GenerateName, event.Type = "slipway-denied-", corev1.EventTypeWarning
	event.Reason, event.Message = string(denials[0].Code), eventMessage(denials)
	return event
}

// podEvent is an Event that has nothing to tell yet. The pod's name may be none that an Event could have.
func podEvent(namespace string, pod *corev1.Pod) *corev1.Event {
	now := metav1.Now()
	name := pod.Name
	if name == "" {
		name = pod.GenerateName
	}
	return &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace},
		InvolvedObject:      corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name},
		Source:              corev1.EventSource{Component: component},
		ReportingController: component,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
}

// plainSpoken are the codes whose messages have names in them and no values. Those of others may quote the policy or the
// pod, and so a variable's value, which isn't for everybody who may read Events.
var plainSpoken = []policy.Code{
	policy.NoPolicy, policy.LauncherNotAllowed, policy.NameMismatch, policy.IdentityInvalid, policy.IdentityConflict,
	policy.ProfileUnknown, policy.ProfileNotAllowed, policy.OptionInvalid, policy.ConstraintViolated, policy.PolicyChanged,
}

// eventMessage is the denials' message, cut to what an Event takes.
func eventMessage(denials []policy.Denial) string {
	sentences := make([]string, 0, len(denials))
	for _, d := range denials {
		sentences = append(sentences, plainly(d))
	}
	return cut(strings.Join(sentences, "; "), maxEventMessage)
}

// plainly is a denial in words for everybody.
func plainly(d policy.Denial) string {
	if !slices.Contains(plainSpoken, d.Code) {
		d.Message = string(d.Code) + " (the answer to the request says why)"
	}
	return d.String()
}

// cut shortens text to at most limit bytes and leaves no half of a character.
func cut(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
