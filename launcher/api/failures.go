package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/slipway-hub/slipway/launcher"
)

// soon is after what time to try again where nobody says.
const soon = 2 * time.Second

// problemOf is how an error of the launcher is told to a hub. What it doesn't know is our own failure, whose text stays in the log.
func problemOf(err error) *Problem {
	if denied, ok := errors.AsType[*launcher.Denied](err); ok {
		return problemOfDenial(denied)
	}
	if failure, ok := errors.AsType[*launcher.Failure](err); ok {
		return problemOfFailure(failure)
	}
	if answer, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return problemOfAnswer(answer, err)
	}
	switch {
	case errors.Is(err, launcher.ErrNotReady):
		return problem(http.StatusServiceUnavailable, CodeNotReady, err.Error()).later(soon)
	case errors.Is(err, launcher.ErrNotFound):
		return problem(http.StatusNotFound, CodeNotFound, "no pod of this server is there")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem(http.StatusGatewayTimeout, CodeTimeout, err.Error()).later(soon)
	case unreachable(err):
		return problem(http.StatusServiceUnavailable, CodeClusterUnavailable, "the API server can't be reached: "+err.Error()).later(soon)
	}
	return problem(http.StatusInternalServerError, CodeInternal, "the launcher failed; its log says why")
}

func problemOfDenial(denied *launcher.Denied) *Problem {
	p := problem(http.StatusForbidden, "", denied.Error())
	if denied.Retryable() {
		p = problem(http.StatusConflict, "", denied.Error()).later(soon)
	}
	for _, reason := range denied.Reasons {
		r := Reason{Code: string(reason.Code), Field: reason.Field, Message: reason.Message}
		if reason.Policy != nil {
			r.Policy = reason.Policy.String()
		}
		p.Reasons = append(p.Reasons, r)
	}
	if len(p.Reasons) > 0 {
		p.Code = p.Reasons[0].Code
	}
	return p
}

// problemOfFailure is for what somebody can mend, which the message names.
func problemOfFailure(failure *launcher.Failure) *Problem {
	p := problem(http.StatusConflict, CodeStartFailed, failure.Message)
	if isQuota(failure) {
		p = problem(http.StatusForbidden, CodeQuotaExceeded, failure.Message)
	}
	p.Retryable = !failure.Hopeless
	return p
}

func isQuota(err error) bool {
	answer, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsForbidden(answer) && strings.Contains(answer.ErrStatus.Message, "exceeded quota")
}

// problemOfAnswer is for the API server's answers that no policy of ours gave. err wraps the answer, and says what was tried.
func problemOfAnswer(answer *apierrors.StatusError, err error) *Problem {
	after := soon
	if seconds, ok := apierrors.SuggestsClientDelay(answer); ok && seconds > 0 {
		after = time.Duration(seconds) * time.Second
	}
	switch {
	case isQuota(answer):
		return problem(http.StatusForbidden, CodeQuotaExceeded, err.Error())
	case apierrors.IsForbidden(answer), apierrors.IsUnauthorized(answer):
		return problem(http.StatusServiceUnavailable, CodeClusterUnavailable, "the API server refuses the launcher: "+err.Error()).later(after)
	case apierrors.IsTooManyRequests(answer):
		return problem(http.StatusTooManyRequests, CodeTooManyRequests, err.Error()).later(after)
	case apierrors.IsTimeout(answer), apierrors.IsServerTimeout(answer):
		return problem(http.StatusGatewayTimeout, CodeTimeout, err.Error()).later(after)
	case apierrors.IsConflict(answer), apierrors.IsAlreadyExists(answer):
		return problem(http.StatusConflict, CodeConflict, err.Error()).later(after)
	case answer.ErrStatus.Code >= http.StatusInternalServerError:
		return problem(http.StatusServiceUnavailable, CodeClusterUnavailable, err.Error()).later(after)
	}
	// A namespace that isn't there, a pod that isn't valid: nothing that another try mends.
	return problem(http.StatusConflict, CodeStartFailed, err.Error())
}

func unreachable(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	return isNet || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || errors.Is(err, syscall.EHOSTUNREACH)
}
