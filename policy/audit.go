package policy

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// AuditReport is what would become of a request if the audited policies were enforced too, beside what becomes of it now.
// It is the same for the same input, like all that the engine says.
type AuditReport struct {
	// Policies are the audited ones that match, weakest first.
	Policies []PolicyRef
	// Denials are the reasons to refuse the request that there would be and aren't now.
	Denials []Denial
	// Lifted are the denials of now, where there would be none; nil everywhere else.
	Lifted []Denial
	// Differences between the pod as it is now and as it would be, by path. Where constraints or validations alone would deny
	// the pod, they are those of the pod that would be denied; where anything else would, or denies it now, there are none.
	Differences []Difference
}

// AuditOutcome sums an AuditReport up: in the metric, the audit annotation and the command line.
type AuditOutcome string

// The outcomes, worst first.
const (
	// AuditDenied: the request would be denied for what it isn't denied for now.
	AuditDenied AuditOutcome = "denied"
	// AuditAdmitted: the request is denied, and wouldn't be.
	AuditAdmitted AuditOutcome = "admitted"
	// AuditChanged: the pod would be another.
	AuditChanged AuditOutcome = "changed"
	// AuditUnchanged: nothing would be otherwise.
	AuditUnchanged AuditOutcome = "unchanged"
)

// Outcome sums the report up.
func (r *AuditReport) Outcome() AuditOutcome {
	switch {
	case len(r.Denials) > 0:
		return AuditDenied
	case len(r.Lifted) > 0:
		return AuditAdmitted
	case len(r.Differences) > 0:
		return AuditChanged
	}
	return AuditUnchanged
}

// Paths are those of the differences of one kind.
func (r *AuditReport) Paths(kind Change) []string {
	var paths []string
	for _, d := range r.Differences {
		if d.Change == kind {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

// By names the audited policies: "ClusterSpawnPolicy a, SpawnPolicy b/c".
func (r *AuditReport) By() string {
	names := make([]string, 0, len(r.Policies))
	for _, p := range r.Policies {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// Warnings say for the caller what would be otherwise, each within the bounds of Result.Warnings; nil where nothing would, and for
// a nil report.
func (r *AuditReport) Warnings() []string {
	if r == nil || r.Outcome() == AuditUnchanged {
		return nil
	}
	warnings := []string{"audit: nothing of this is done while the policy says enforcement: Audit (" + r.By() + ")"}
	for _, d := range r.Denials {
		warnings = append(warnings, "audit: would be denied: Slipway "+string(d.Code)+": "+d.String())
	}
	for _, d := range r.Lifted {
		warnings = append(warnings, "audit: would not be denied any more: Slipway "+string(d.Code)+": "+d.String())
	}
	for _, kind := range []Change{FieldAdded, FieldReplaced, FieldRemoved} {
		warnings = append(warnings, listWarnings("audit: would be "+string(kind)+": ", r.Paths(kind))...)
	}
	return abridgedWarnings(warnings)
}

// AllWarnings are the warnings of what is done and of what would be, together within the bounds of Warnings.
func (r *Result) AllWarnings() []string {
	audit := r.Audit.Warnings()
	if len(audit) == 0 {
		return r.Warnings
	}
	return abridgedWarnings(append(slices.Clone(r.Warnings), audit...))
}

func (p *compiledPolicy) isAudited() bool { return p.spec.Enforcement == v1alpha1.Audit }

// isSelective: it can be told whom the policy is for. One that isn't matches everything, so that nothing escapes it while it is
// enforced; an audited one must not let everything pass for that.
func (p *compiledPolicy) isSelective() bool {
	for _, e := range p.errs {
		if strings.HasPrefix(e.Field, "spec.namespaceSelector") || strings.HasPrefix(e.Field, "spec.matchConditions") {
			return false
		}
	}
	return true
}

// enforcing gives the policies without the audited ones, so that all that is done is done as though those weren't there.
func (c *Compiled) enforcing() *Compiled {
	enforced := slices.DeleteFunc(slices.Clone(c.policies), (*compiledPolicy).isAudited)
	if len(enforced) == len(c.policies) {
		return c
	}
	return &Compiled{policies: enforced, exempt: c.exempt, whole: c}
}

// all are the policies, the audited ones too.
func (c *Compiled) all() []*compiledPolicy {
	if c.whole != nil {
		return c.whole.policies
	}
	return c.policies
}

// auditing are the audited policies that match, if every policy counts. They cost next to nothing where none could match.
func (c *Compiled) auditing(in *Input) []*compiledPolicy {
	if c.whole == nil || !slices.ContainsFunc(c.whole.policies, func(p *compiledPolicy) bool { return p.isAudited() && c.whole.concerns(p, in) }) {
		return nil
	}
	return slices.DeleteFunc(c.whole.selectPolicies(in).policies, func(p *compiledPolicy) bool { return !p.isAudited() })
}

// leavesAlone: no policy that is enforced matches, and one of these audited ones surely does. Then nothing is done to the pod. Where the
// cluster enforces anything, a namespace's word isn't enough: for which hub and user the pod is, so that no enforced policy matches, is
// for its sender to say.
func (c *Compiled) leavesAlone(in *Input, audited []*compiledPolicy) bool {
	if len(audited) == 0 {
		return false
	}
	undecided := c.whole.selectPolicies(in).failed
	governed := slices.ContainsFunc(c.policies, func(p *compiledPolicy) bool { return p.cluster && c.reaches(p, in.Namespace) })
	surely := func(p *compiledPolicy) bool {
		return (p.cluster || !governed) && p.isSelective() && !slices.ContainsFunc(undecided, func(d Denial) bool { return *d.Policy == p.ref })
	}
	return slices.ContainsFunc(audited, surely) && len(c.selectPolicies(in).policies) == 0
}

// audit adds to what is done what would be if the audited policies were enforced too. Nothing of theirs gets into the rest.
func (c *Compiled) audit(in Input, now Result) Result {
	audited := c.auditing(&in)
	if len(audited) == 0 {
		return now
	}
	in.Provenance = false
	would := c.whole.tried(func() (Result, error) { return c.whole.decide(in) })
	if c.leavesAlone(&in, audited) {
		now = leftAlone(&in, &would)
	}
	now.Audit = reportOf(refsOf(audited), &in, &now, &would)
	return now
}

// tried is what would be; an audited policy fails nobody's pod, whatever goes wrong.
func (c *Compiled) tried(decide func() (Result, error)) (would Result) {
	fails := func(why any) Result {
		return Result{Denials: []Denial{denyf(PolicyInvalid, nil, "", "can't be tried: %v", why)}}
	}
	defer func() {
		if r := recover(); r != nil {
			would = fails(r)
		}
	}()
	would, err := decide()
	if err != nil {
		return fails(err)
	}
	return would
}

// leftAlone is the pod as it was sent. That policy fitted it is for policy alone to say: what comes later relies on it.
func leftAlone(in *Input, would *Result) Result {
	pod := in.Sent
	if pod == nil {
		name := in.Identity.Name
		if name == "" {
			name = "jupyter-" + SafeUserServer(in.Identity.User, in.Identity.Server)
		}
		x := &server{in: in, names: Names{Pod: name}}
		pod = x.bareSkeleton()
	}
	if _, claims := pod.Annotations[AnnotationApplied]; claims {
		return Result{Denials: []Denial{denyf(FieldChanged, nil, "metadata.annotations["+AnnotationApplied+"]",
			"is policy's to write, and no policy that matches is enforced: leave it out")}}
	}
	return Result{Pod: pod, Names: would.Names, Untouched: true}
}

func reportOf(audited []PolicyRef, in *Input, now, would *Result) *AuditReport {
	r := &AuditReport{Policies: audited, Denials: notAmong(would.Denials, now.Denials)}
	if would.Pod != nil {
		r.Lifted = now.Denials
	}
	if would.refused != nil {
		would = would.refused
	}
	if now.Pod != nil && would.Pod != nil {
		r.Differences = differencesOf(in, now, would)
	}
	return r
}

// notAmong takes out the denials that others are too.
func notAmong(denials, others []Denial) []Denial {
	var left []Denial
	for _, d := range denials {
		same := func(o Denial) bool {
			return sameDenial(d, o) && (d.Policy == nil) == (o.Policy == nil) && (d.Policy == nil || *d.Policy == *o.Policy)
		}
		if !slices.ContainsFunc(others, same) {
			left = append(left, d)
		}
	}
	return left
}

// refusing is a denial of what was fitted already: an audit tells what it was, too.
func (x *server) refusing(pod *corev1.Pod, denials []Denial) Result {
	return Result{Denials: denials, refused: &Result{Pod: pod, Claim: x.buildClaim(), MoreClaims: x.buildMoreClaims(), Names: x.names, Kept: x.keeping()}}
}

// isUnreadable: it can't be told who the server is for.
func (in *Input) isUnreadable() bool {
	return slices.ContainsFunc(in.Refused, func(d Denial) bool { return d.Code == IdentityInvalid || d.Code == IdentityConflict })
}

// decide is apply, with the denials that don't depend on policy.
func (c *Compiled) decide(in Input) (Result, error) {
	if in.isUnreadable() {
		return Result{Denials: in.Refused}, nil
	}
	r, err := c.apply(in)
	if len(in.Refused) == 0 || err != nil {
		return r, err
	}
	refused := r.refused
	if r.Pod != nil {
		refused = &Result{Pod: r.Pod, Claim: r.Claim, MoreClaims: r.MoreClaims, Names: r.Names, Kept: r.Kept}
	}
	return Result{Denials: slices.Concat(in.Refused, r.Denials), refused: refused}, nil
}

// AddAudited notes an audited policy that can't even be read, and so can't be compiled: it denies nothing.
func (r *Result) AddAudited(invalid ...Denial) {
	if len(invalid) == 0 {
		return
	}
	report := AuditReport{}
	if r.Audit != nil {
		report = *r.Audit
	}
	for _, d := range invalid {
		report.Policies = append(slices.Clip(report.Policies), *d.Policy)
	}
	report.Denials = append(slices.Clip(report.Denials), invalid...)
	report.Lifted = nil
	r.Audit = &report
}
