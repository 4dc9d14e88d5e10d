package launcher

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// Denied is Slipway's own refusal of a skeleton: a decision with reasons, and final unless Retryable. Quota and RBAC
// answer 403 too; those aren't Denied.
type Denied struct {
	// Reasons are all that is wrong, at least one. Code is always there, Field and Message where the answer has them;
	// Policy is nil, and named in Message.
	Reasons []policy.Denial
	// answer is what the API server said.
	answer *apierrors.StatusError
}

// Error is one sentence per reason, as the API server handed them on.
func (d *Denied) Error() string {
	return slipwayCode.FindString(d.answer.ErrStatus.Message)
}

// Unwrap gives the API server's answer (*errors.StatusError).
func (d *Denied) Unwrap() error { return d.answer }

// Retryable says whether the same skeleton may be admitted a moment later: policy changed while it was judged.
func (d *Denied) Retryable() bool { return apierrors.IsConflict(d.answer) }

// Codes are the reasons' codes, in their order.
func (d *Denied) Codes() []policy.Code {
	codes := make([]policy.Code, 0, len(d.Reasons))
	for _, r := range d.Reasons {
		codes = append(codes, r.Code)
	}
	return codes
}

// slipwayCode begins the message of every refusal of ours, whether a webhook gave it or, with no webhook at all, an
// admission policy inside the API server.
var slipwayCode = regexp.MustCompile(`(?s)Slipway ([A-Z][A-Za-z]+): (.*)`)

// Explain gives the *Denied that an answer of the API server is, or err itself where it is none; for those who create
// pods by themselves. The webhook's own failures have a code in the message too, but are neither 403 nor 409.
func Explain(err error) error {
	answer, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsForbidden(answer) && !apierrors.IsConflict(answer) {
		return err
	}
	said := slipwayCode.FindStringSubmatch(answer.ErrStatus.Message)
	if said == nil {
		return err
	}
	d := &Denied{answer: answer}
	if details := answer.ErrStatus.Details; details != nil {
		for _, c := range details.Causes {
			if c.Type != "" { // the cause that an admission policy gives is the whole message once more
				d.Reasons = append(d.Reasons, policy.Denial{Code: policy.Code(c.Type), Field: c.Field, Message: c.Message})
			}
		}
	}
	if len(d.Reasons) == 0 {
		d.Reasons = []policy.Denial{{Code: policy.Code(said[1]), Message: said[2]}}
	}
	return d
}

// deniedBy is a refusal that policy gives before the cluster is asked: for want of a name there is nothing that could be asked. Its words are
// those that the webhook would use.
func deniedBy(denials []policy.Denial) *Denied {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Details: &metav1.StatusDetails{Kind: "pods"}}
	sentences := make([]string, 0, len(denials))
	for _, d := range denials {
		sentences = append(sentences, d.String())
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{Type: metav1.CauseType(d.Code), Field: d.Field, Message: d.Message})
	}
	status.Message = fmt.Sprintf("Slipway %s: %s", denials[0].Code, strings.Join(sentences, "; "))
	return &Denied{Reasons: denials, answer: &apierrors.StatusError{ErrStatus: status}}
}

// explained adds to the API server's refusal what was tried.
func explained(err error, namespace, pod string) error {
	return fmt.Errorf("create pod %s/%s: %w", namespace, pod, Explain(err))
}
