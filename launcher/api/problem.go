package api

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// The codes of problems that aren't policy's decisions.
const (
	// CodeBadRequest: the request can't be read.
	CodeBadRequest = "BadRequest"
	// CodeUnauthenticated: no token, or one that the cluster doesn't take.
	CodeUnauthenticated = "Unauthenticated"
	// CodeHubNotAllowed: the caller doesn't speak for this hub.
	CodeHubNotAllowed = "HubNotAllowed"
	// CodeQuotaExceeded: the namespace's quota has no room for the server.
	CodeQuotaExceeded = "QuotaExceeded"
	// CodeNotFound: no pod of this server is there.
	CodeNotFound = "NotFound"
	// CodeNoSuchPath: the API has no such path.
	CodeNoSuchPath = "NoSuchPath"
	// CodeMethodNotAllowed: the path has no such method.
	CodeMethodNotAllowed = "MethodNotAllowed"
	// CodeTooSlow: the request's body didn't arrive in time.
	CodeTooSlow = "TooSlow"
	// CodeStartFailed: the server can't start as it is.
	CodeStartFailed = "StartFailed"
	// CodeConflict: somebody else changed the same thing at the same time.
	CodeConflict = "Conflict"
	// CodeBodyTooLarge: the body is larger than 1 MiB.
	CodeBodyTooLarge = "BodyTooLarge"
	// CodeUnsupportedMediaType: the body isn't JSON.
	CodeUnsupportedMediaType = "UnsupportedMediaType"
	// CodeInvalid: what the request says isn't what the description allows.
	CodeInvalid = "Invalid"
	// CodeTooManyRequests: the API server has enough to do, or is being asked about too many new tokens.
	CodeTooManyRequests = "TooManyRequests"
	// CodeInternal: the launcher's own failure, which its log explains.
	CodeInternal = "InternalError"
	// CodeClusterUnavailable: the API server can't be reached, or refuses the launcher.
	CodeClusterUnavailable = "ClusterUnavailable"
	// CodeNotReady: the launcher doesn't know the servers yet.
	CodeNotReady = "NotReady"
	// CodeTimeout: time was over.
	CodeTimeout = "Timeout"
)

// Problem is every answer that isn't what was asked for, as RFC 9457 says.
type Problem struct {
	Title     string   `json:"title"             doc:"The status in words."                                                                      example:"Forbidden"`
	Status    int      `json:"status"            doc:"The HTTP status."                                                                          example:"403"`
	Detail    string   `json:"detail"            doc:"What is wrong, for people."                                                                example:"this user may not choose profile gpu"`
	Code      string   `json:"code"              doc:"What is wrong, for programs: the first reason's code."                                     example:"ProfileNotAllowed"`
	Reasons   []Reason `json:"reasons,omitempty" doc:"All that is wrong."`
	Retryable bool     `json:"retryable"         doc:"Whether the same request may succeed a moment later. If not, something must change first."`

	retryAfter time.Duration
	headers    http.Header
}

// Reason is one of several things that are wrong.
type Reason struct {
	Code    string `json:"code"             example:"ProfileNotAllowed"`
	Field   string `json:"field,omitempty"  doc:"Path in the request, the pod or the policy." example:"metadata.annotations[slipway.dev/profile]"`
	Message string `json:"message"          doc:"One sentence."`
	Policy  string `json:"policy,omitempty" doc:"The policy that refuses."`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is part of huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders is part of huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	headers := maps.Clone(p.headers)
	if p.retryAfter > 0 {
		if headers == nil {
			headers = http.Header{}
		}
		headers.Set("Retry-After", strconv.Itoa(max(1, int(p.retryAfter.Round(time.Second)/time.Second))))
	}
	return headers
}

// ContentType is part of huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// later says that the same may succeed, and when to try.
func (p *Problem) later(after time.Duration) *Problem {
	p.Retryable, p.retryAfter = true, after
	return p
}

func (p *Problem) with(header, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(header, value)
	return p
}

// write is for problems that are met outside huma.
func (p *Problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// humaCodes are those of the statuses that huma itself answers with.
var humaCodes = map[int]string{
	http.StatusBadRequest:           CodeBadRequest,
	http.StatusUnsupportedMediaType: CodeUnsupportedMediaType,
	http.StatusUnprocessableEntity:  CodeInvalid,
}

// newHumaError makes problems of what huma finds wrong. It leaves out the values that huma would quote: an environment is among them.
func newHumaError(status int, message string, errs ...error) *Problem {
	code, known := humaCodes[status]
	if !known {
		code = CodeInternal
	}
	p := problem(status, code, message)
	for _, err := range errs {
		if err == nil {
			continue
		}
		reason := Reason{Code: code, Message: err.Error()}
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			reason = Reason{Code: code, Field: detail.Location, Message: detail.Message}
		}
		p.Reasons = append(p.Reasons, reason)
	}
	if len(p.Reasons) > 0 {
		p.Detail = p.Reasons[0].Message
		if p.Reasons[0].Field != "" {
			p.Detail = p.Reasons[0].Field + ": " + p.Detail
		}
	}
	return p
}

// huma has these only as settings of the whole process.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return newHumaError(status, message, errs...)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := newHumaError(status, message, errs...)
		seenOf(ctx.Context()).code = p.Code
		return p
	}
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
}
