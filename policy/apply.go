package policy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Apply computes the fitted pod and the home claim of one server, and what they would be if audited policies were enforced. A
// denial is a result; an error is our own failure.
func (c *Compiled) Apply(in Input) (Result, error) {
	r, err := c.decide(in)
	if c.whole == nil || err != nil {
		return r, err
	}
	return c.audit(in, r), nil
}

// apply is Apply by the policies that are enforced. Its steps, in this order, are the product: select the
// policies, merge their settings, expand templates, build the pod, mutate it, assert again what is enforced, hold it against the
// constraints.
func (c *Compiled) apply(in Input) (Result, error) { //nolint:unparam // a step that can fail says so here
	x, denials, warnings := c.prepare(&in)
	if len(denials) > 0 {
		return Result{Denials: denials}, nil
	}
	if denials := x.plan.checkSkeleton(&in, &warnings); len(denials) > 0 {
		return Result{Denials: denials}, nil
	}
	if denials := x.expand(); len(denials) > 0 {
		return Result{Denials: denials}, nil
	}
	if in.Provenance {
		x.trace = x.newTrace()
	}
	pod, denials := x.fit(&warnings)
	if len(denials) > 0 {
		return Result{Denials: denials}, nil
	}
	if denials := x.constrain(pod); len(denials) > 0 {
		return x.refusing(pod, denials), nil
	}
	r := Result{
		Pod: pod.DeepCopy(), Claim: x.buildClaim(), MoreClaims: x.buildMoreClaims(), Names: x.names, Warnings: abridgedWarnings(warnings), Applied: x.plan.applied, Kept: x.keeping(),
	}
	if in.Provenance {
		r.Provenance, r.Fields = x.trace.said.provenance(), x.trace.fields(&r)
	}
	return r, nil
}

// prepare selects and merges: what of the work doesn't depend on the server's names. Warnings are for the caller.
func (c *Compiled) prepare(in *Input) (x *server, denials []Denial, warnings []string) {
	s := c.selectPolicies(in)
	policies := s.policies
	if denials := append(refusals(policies, in, s.asserted), s.failed...); len(denials) > 0 {
		return nil, denials, nil
	}
	sel, denials, warnings := choose(policies, in, s.groups)
	if len(denials) > 0 {
		return nil, denials, nil
	}
	plan := c.planFor(policies, sel)
	if len(plan.errs) > 0 {
		return nil, plan.errs, nil
	}
	x = &server{
		in: in, plan: plan, s: plan.settings, templates: plan.templates, hubNS: hubNamespace(policies, in), policies: policies, sel: sel,
		groups: s.groups, run: s.run,
	}
	return x, nil, warnings
}

// expand computes settings, gives the server its names and fills in the templates.
func (x *server) expand() []Denial {
	if denials := x.compute(); len(denials) > 0 {
		return denials
	}
	if denials := append(x.expandNames(), x.expandAll()...); len(denials) > 0 {
		return denials
	}
	return x.chooseMoreClaims()
}

// fit makes the pod, from nothing or, in Keep, from the one that was sent, mutates it, and asserts once more what is enforced.
func (x *server) fit(warnings *[]string) (*corev1.Pod, []Denial) {
	if x.keeping() {
		sent := x.in.Sent
		if sent == nil {
			sent = x.bareSkeleton()
		}
		pod, denials, more := x.keep(sent)
		*warnings = append(*warnings, more...)
		return pod, denials
	}
	pod := x.build()
	x.keepMetadata(pod)
	x.trace.rest(pod)
	pod, denials := x.mutate(pod)
	if len(denials) > 0 {
		return nil, denials
	}
	return pod, x.reassert(pod)
}

// refusals are the reasons to stop before anything is computed.
func refusals(policies []*compiledPolicy, in *Input, asserted []string) []Denial {
	if len(policies) == 0 {
		return []Denial{denyf(NoPolicy, nil, "", "no policy matches hub %q in namespace %q for user %q", in.Identity.Hub, in.Namespace.Name, in.Identity.User)}
	}
	var denials []Denial
	if skeletonMode(policies) != v1alpha1.SkeletonKeep {
		denials = slices.Clone(in.Shape)
	}
	for _, p := range policies {
		for _, e := range p.errs {
			denials = append(denials, denyf(PolicyInvalid, &p.ref, e.Field, "%s", e.ErrorBody()))
		}
	}
	denials = append(denials, keepConflicts(policies)...)
	return append(denials, checkLauncher(policies, in, asserted)...)
}

// checkSkeleton: Strict denies what a skeleton carries beside identity, Strip drops it and says so, Keep takes it.
func (p *plan) checkSkeleton(in *Input, warnings *[]string) []Denial {
	if p.mode == v1alpha1.SkeletonKeep {
		return nil
	}
	surplus := slices.DeleteFunc(slices.Clone(in.Surplus), p.allowsMetadata)
	if p.mode == v1alpha1.SkeletonStrip {
		*warnings = append(*warnings, listWarnings("dropped from the skeleton: ", surplus)...)
		return nil
	}
	var denials []Denial
	for _, path := range surplus {
		denials = append(denials, denyf(SkeletonNotBare, nil, path, "a skeleton says who the server is for and nothing else: leave it out, or set skeleton: Strip in policy to have it dropped"))
	}
	return denials
}

// allowsMetadata says whether a surplus path is a label or annotation that policy lets survive.
func (p *plan) allowsMetadata(path string) bool {
	for _, prefix := range []string{"metadata.labels[", "metadata.annotations["} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			return p.keeps(strings.TrimSuffix(key, "]"))
		}
	}
	return false
}

// keeps: every policy that names patterns must have one that fits; our own keys and KubeSpawner's never survive
// this way, nor what turns into a field later, nor what kubectl notes.
func (p *plan) keeps(key string) bool {
	if isOurs(key) || matchesAny(droppedAnnotations, key) || key == corev1.LastAppliedConfigAnnotation {
		return false
	}
	for _, patterns := range p.metadataAllow {
		if !matchesAny(patterns, key) {
			return false
		}
	}
	return len(p.metadataAllow) > 0
}

// keepMetadata carries over the labels and annotations of the skeleton that policy lets survive; policy's own win.
func (x *server) keepMetadata(pod *corev1.Pod) {
	if x.in.Sent == nil || len(x.plan.metadataAllow) == 0 {
		return
	}
	keep := func(sent, built map[string]string) {
		for k, v := range sent {
			if _, has := built[k]; !has && x.plan.keeps(k) {
				built[k] = v
			}
		}
	}
	keep(x.in.Sent.Labels, pod.Labels)
	keep(x.in.Sent.Annotations, pod.Annotations)
}

const (
	// maxWarning bounds each warning, in bytes: the API server cuts longer ones where there are many.
	maxWarning = 256
	// maxWarnings of that length are as many as the API server passes on (k8s.io/apiserver pkg/endpoints/filters/warning.go).
	maxWarnings = 16
)

// listWarnings names all the things, in as many warnings as they need.
func listWarnings(head string, things []string) []string {
	var warnings []string
	text := ""
	for _, thing := range things {
		if text != "" && len(text)+len(", ")+len(thing) > maxWarning {
			warnings = append(warnings, text)
			text = ""
		}
		if text == "" {
			text = head + thing
		} else {
			text += ", " + thing
		}
	}
	if text != "" {
		warnings = append(warnings, text)
	}
	return warnings
}

// abridgedWarnings keeps each, and all of them, within what a client is shown.
func abridgedWarnings(warnings []string) []string {
	if n := len(warnings) - maxWarnings; n > 0 {
		warnings = append(warnings[:maxWarnings-1:maxWarnings-1], fmt.Sprintf("and %d more warnings", n+1))
	}
	for i, w := range warnings {
		if len(w) > maxWarning {
			cut := strings.ToValidUTF8(w[:maxWarning-len("…")], "")
			warnings[i] = fmt.Sprintf("%s…", cut)
		}
	}
	return warnings
}
