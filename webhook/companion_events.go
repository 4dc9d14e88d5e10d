package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/flowcontrol"
)

// Reasons of Events about what isn't made. A launcher shows those of a pod to its user.
const (
	reasonClaimNotMade    = "ClaimNotMade"
	reasonClaimNotGrown   = "ClaimNotGrown"
	reasonClaimNotDeleted = "ClaimNotDeleted"
	reasonServiceNotMade  = "ServiceNotMade"
)

// toldFor is for how long what was said isn't said again. The API server drops an Event after an hour, unless it was told otherwise.
const toldFor = 30 * time.Minute

// companionEvents says why something wasn't made, once of each object as long as the Event is there: its name is made of what it says,
// so another leader doesn't repeat it either.
type companionEvents struct {
	core  coreclient.CoreV1Interface
	limit flowcontrol.RateLimiter

	mu sync.Mutex
	// told is when each Event was written, by NAMESPACE/NAME.
	told map[string]time.Time
}

func newCompanionEvents(core coreclient.CoreV1Interface) *companionEvents {
	return &companionEvents{core: core, limit: flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst), told: map[string]time.Time{}}
}

// errTooManyEvents: whoever has to tell something is to try again later.
var errTooManyEvents = errors.New("more Events to write than may be written at once")

// pod tells of a pod. After an error it isn't told yet.
func (e *companionEvents) pod(ctx context.Context, pod *corev1.Pod, reason, message string) error {
	return e.tell(ctx, &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
	}, reason, message)
}

// claim tells of a claim. After an error it isn't told yet.
func (e *companionEvents) claim(ctx context.Context, claim *corev1.PersistentVolumeClaim, reason, message string) error {
	return e.tell(ctx, &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
	}, reason, message)
}

func (e *companionEvents) tell(ctx context.Context, of *corev1.ObjectReference, reason, message string) error {
	name := eventName(of, reason, message)
	if e.hasTold(of.Namespace + "/" + name) {
		return nil
	}
	if !e.limit.TryAccept() {
		return errTooManyEvents
	}
	now := metav1.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	_, err := e.core.Events(of.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: of.Namespace, Name: name},
		InvolvedObject: *of, Type: corev1.EventTypeWarning, Reason: reason, Message: cut(message, maxEventMessage),
		Source: corev1.EventSource{Component: component}, ReportingController: component,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("write an Event about %s: %w", of.Name, err)
	}
	writtenEvents.Inc()
	e.noteTold(of.Namespace + "/" + name)
	return nil
}

func (e *companionEvents) hasTold(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, told := e.told[name]
	return told && time.Since(at) < toldFor
}

func (e *companionEvents) noteTold(name string) {
	const most = 10_000
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.told) >= most {
		clear(e.told)
	}
	e.told[name] = time.Now()
}

// eventName is unique for what is said of an object.
func eventName(of *corev1.ObjectReference, reason, message string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(of.UID), reason, message}, "\x00")))
	const longest, digits = 200, 8
	return strings.TrimRight(of.Name[:min(len(of.Name), longest)], ".-") + "." + hex.EncodeToString(sum[:digits])
}

// reasonOf is the API server's reason in its own words, without the object, which the sentence names already.
func reasonOf(err error) string {
	if status, is := errors.AsType[*apierrors.StatusError](err); is {
		message := status.ErrStatus.Message
		if _, after, found := strings.Cut(message, " is forbidden: "); found {
			return after
		}
		if _, after, found := strings.Cut(message, " is invalid: "); found {
			return after
		}
		return message
	}
	return err.Error()
}
