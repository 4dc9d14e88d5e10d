package launcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-hub/slipway/policy"
)

// patience is how the time between two tries grows.
func patience() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 5 * time.Second}
}

// sleep says whether ctx is still good after that time.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// mayGoWell says whether the same request may go well a moment later, and when at the earliest. It may where policy changed meanwhile,
// others wrote at the same time, the API server has too much to do, or it, or the webhook, can't be reached.
func mayGoWell(err error) (again bool, after time.Duration) {
	if f, ok := errors.AsType[*Failure](err); ok {
		return !f.Hopeless && f.err == nil, 0
	}
	if d, ok := errors.AsType[*Denied](err); ok {
		return d.Retryable(), 0
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return !errors.Is(err, context.Canceled), 0 // nobody answered
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		after = time.Duration(seconds) * time.Second
	}
	code := status.Status().Code
	return code == http.StatusConflict || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError, after
}

// readAgain has policies and the labels of namespaces read once more after a denial that may rest on old ones, and waits for that a
// moment. False: it is the cluster's last word.
func (s *start) readAgain(ctx context.Context, err error) bool {
	d, ok := errors.AsType[*Denied](err)
	if !ok || !slices.ContainsFunc(d.Reasons, func(r policy.Denial) bool { return r.Code == policy.NameMismatch || r.Code == policy.NoPolicy }) {
		return false
	}
	const enough = 3
	if s.looks++; s.looks > enough {
		return false
	}
	s.labels.forgetAll()
	const moment = time.Second
	select {
	case <-ctx.Done():
	case <-time.After(moment):
		return s.looks == 1 // the labels may be others
	case <-s.set.replaced:
	}
	return true
}

// outOfTime says that a start took too long, or was given up, and what it was waiting for: last is nil where nothing was answered.
func outOfTime(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if last == nil || errors.Is(last, cause) || errors.Is(last, errTaken) || errors.Is(last, ctx.Err()) {
		return cause
	}
	// What was answered last isn't why it ended, so it is told but can't be asked for.
	return fmt.Errorf("%w; the last answer was: %s", cause, last.Error())
}

// waitingAgain tells the user what a start waits for.
func waitingAgain(err error) string {
	switch d, denied := errors.AsType[*Denied](err); {
	case denied && d.Retryable():
		return "Policy is changing; trying again"
	case errors.Is(err, errTaken):
		return "Making room for the server"
	case apierrors.IsTooManyRequests(err):
		return "The cluster has much to do; trying again"
	case apierrors.IsConflict(err):
		return "Others change the same; trying again"
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return capitalised(f.Message)
	}
	return "The cluster can't answer right now; trying again"
}

// reasonOf names an error in the log by what kind it is; its message may quote what somebody typed.
func reasonOf(err error) string {
	if d, ok := errors.AsType[*Denied](err); ok {
		return string(d.Reasons[0].Code)
	}
	if errors.Is(err, errTaken) {
		return "NameTaken"
	}
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return "NoAnswer"
}

// explainRefusal says what it means that the API server refused a pod.
func explainRefusal(err error, namespace, pod string) error {
	if errors.Is(err, errTaken) {
		return err
	}
	if _, ok := errors.AsType[*Failure](err); ok {
		return err
	}
	if explained := Explain(err); explained != err { //nolint:errorlint // whether it is the same, not of a kind
		return fmt.Errorf("create pod %s/%s: %w", namespace, pod, explained)
	}
	if f := refusedFor(err, namespace); f != nil {
		return f
	}
	return fmt.Errorf("create pod %s/%s: %w", namespace, pod, err)
}

// explainSecret does so for its Secret.
func explainSecret(err error, pod *corev1.Pod) error {
	if apierrors.IsInvalid(err) {
		return &Failure{Message: "the Secret with the server's environment is invalid: " + err.Error(), Hopeless: true, err: err}
	}
	if f := refusedFor(err, pod.Namespace); f != nil {
		return f
	}
	return fmt.Errorf("create the Secret with the environment of pod %s/%s: %w", pod.Namespace, pod.Name, Explain(err))
}

// noDefaultAccount is what the API server's admission says of a pod in a namespace that was made just now.
const noDefaultAccount = `serviceaccount "default" not found`

// refusedFor knows the refusals that somebody can do something about; nil for others.
func refusedFor(err error, namespace string) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return nil
	}
	said := status.Status().Message
	fails := func(format string, args ...any) error {
		return &Failure{Message: fmt.Sprintf(format, args...), Hopeless: true, err: err}
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fails("namespace %s is being deleted, so no server can start there", namespace)
	case apierrors.IsForbidden(err) && strings.Contains(said, noDefaultAccount):
		// A controller makes it a moment after the namespace; without err, the start is tried again.
		return &Failure{Message: "namespace " + namespace + " is new, and has no service account yet"}
	case isQuotaExceeded(err):
		return fails("the quota of namespace %s is used up: %s; stop another server there, or have the quota raised", namespace, quotaIn(said))
	case apierrors.IsForbidden(err) && strings.Contains(said, "failed quota"):
		return fails("the quota of namespace %s wants more of policy: %s", namespace, quotaIn(said))
	case apierrors.IsForbidden(err) && strings.Contains(said, "maximum ") || apierrors.IsForbidden(err) && strings.Contains(said, "minimum "):
		return fails("a LimitRange of namespace %s refuses the server: %s", namespace, quotaIn(said))
	case apierrors.IsForbidden(err) && strings.Contains(said, "violates PodSecurity"):
		return fails("namespace %s enforces pod security that policy doesn't keep to: %s", namespace, quotaIn(said))
	case apierrors.IsForbidden(err) && strings.Contains(said, " cannot create resource "):
		return fails("this launcher lacks a right: %s; grant it that", said)
	case apierrors.IsNotFound(err):
		return fails("namespace %s doesn't exist: have it made, or name another", namespace)
	case apierrors.IsInvalid(err) && strings.Contains(said, "image: Required value"):
		return fails("nothing completed the server's pod: Slipway's webhook isn't installed, or doesn't look at namespace %s", namespace)
	case apierrors.IsInvalid(err):
		return fails("the server's pod as policy has it is invalid: %s", said)
	case apierrors.IsUnauthorized(err):
		return fails("the API server doesn't know this launcher's account: %s", said)
	}
	return nil
}

func isQuotaExceeded(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsForbidden(status) && strings.Contains(status.Status().Message, "exceeded quota")
}

// quotaIn leaves out of a message which pod was refused.
func quotaIn(said string) string {
	if _, why, ok := strings.Cut(said, " is forbidden: "); ok {
		return why
	}
	return said
}

// capitalised begins a sentence.
func capitalised(message string) string {
	if message == "" {
		return ""
	}
	return strings.ToUpper(message[:1]) + message[1:]
}
