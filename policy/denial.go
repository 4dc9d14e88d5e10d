package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Code is the stable reason of a denial: in the response, the metric label, the Event and the command line.
type Code string

// The reason codes. They are API: scripts and dashboards match on them.
const (
	// NoPolicy: no policy matches hub, namespace and user.
	NoPolicy Code = "NoPolicy"
	// PolicyInvalid: a policy that matches can't be used.
	PolicyInvalid Code = "PolicyInvalid"
	// LauncherNotAllowed: the caller is no listed launcher, or asserts more than its entry lets it.
	LauncherNotAllowed Code = "LauncherNotAllowed"
	// SkeletonNotBare: the skeleton carries more than identity.
	SkeletonNotBare Code = "SkeletonNotBare"
	// NameMismatch: the pod's name isn't the one that policy's template gives.
	NameMismatch Code = "NameMismatch"
	// IdentityInvalid: a label or annotation that says who the server is for can't be read.
	IdentityInvalid Code = "IdentityInvalid"
	// IdentityConflict: two statements about who the server is for disagree.
	IdentityConflict Code = "IdentityConflict"
	// ProfileUnknown: no such profile.
	ProfileUnknown Code = "ProfileUnknown"
	// ProfileNotAllowed: this user may not choose that profile or choice.
	ProfileNotAllowed Code = "ProfileNotAllowed"
	// OptionInvalid: an option, or the choice made for it, doesn't exist or isn't allowed.
	OptionInvalid Code = "OptionInvalid"
	// TemplateInvalid: a template could not be expanded for this server.
	TemplateInvalid Code = "TemplateInvalid"
	// ExpressionFailed: a CEL expression of a policy has no value for this server, or none that can be used.
	ExpressionFailed Code = "ExpressionFailed"
	// ValidationFailed: a validation of a policy is false for the fitted pod.
	ValidationFailed Code = "ValidationFailed"
	// ConstraintViolated: the fitted pod is outside a bound.
	ConstraintViolated Code = "ConstraintViolated"
	// FieldChanged: something fitted was changed, or a label or annotation that only the cluster's own may change.
	FieldChanged Code = "FieldChanged"
	// NotGoverned: the pod would run outside policy where that isn't allowed: without the hub label, or while the webhook
	// configuration that guards hub pods is missing or weakened.
	NotGoverned Code = "NotGoverned"
	// PolicyChanged: policy changed meanwhile; try again.
	PolicyChanged Code = "PolicyChanged"
)

// codes are all of them, as others may name them.
var codes = []Code{
	NoPolicy, PolicyInvalid, LauncherNotAllowed, SkeletonNotBare, NameMismatch, IdentityInvalid, IdentityConflict, ProfileUnknown,
	ProfileNotAllowed, OptionInvalid, TemplateInvalid, ExpressionFailed, ValidationFailed, ConstraintViolated, FieldChanged, NotGoverned,
	PolicyChanged,
}

// Known is an error where there is no such reason.
func (c Code) Known() error {
	if slices.Contains(codes, c) {
		return nil
	}
	names := make([]string, len(codes))
	for i, known := range codes {
		names[i] = string(known)
	}
	hint := DidYouMean(string(c), slices.Clone(names))
	if hint == "" {
		hint = ": the codes are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%q is no reason code%s", string(c), hint)
}

// Denial is one reason to refuse a pod. It is a decision, not an error.
type Denial struct {
	Code Code
	// Policy that refuses; nil where none is to blame.
	Policy *PolicyRef
	// Field is the path in the pod or policy that the message is about; may be empty.
	Field string
	// Message is one sentence: what is wrong and what would be right.
	Message string
	// always: whoever the server is for, this denies it; so a policy that it is the fault of needn't be admitted.
	always bool
}

// String is the message with its policy and field.
func (d Denial) String() string {
	s := d.Message
	if d.Field != "" {
		s = d.Field + ": " + s
	}
	if d.Policy != nil {
		s = d.Policy.String() + ": " + s
	}
	return s
}

// maxMessage bounds a denial's message, in bytes: it may quote what somebody typed.
const maxMessage = 2048

func bounded(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-len("…")], "") + "…"
}

func denyf(code Code, policy *PolicyRef, field, format string, args ...any) Denial {
	return Denial{Code: code, Policy: policy, Field: field, Message: bounded(fmt.Sprintf(format, args...))}
}
