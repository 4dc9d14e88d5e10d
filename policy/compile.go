// Package policy is Slipway's engine: from a skeleton's identity, its namespace and the policies it computes the
// fitted pod and the home claim. It is pure: no clock, no randomness, no I/O; the same input gives the same bytes.
//
// The order of work is in Compiled.Apply, to be read from top to bottom; each step has a file of its own.
package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Policies are all the policies of a cluster, in any order.
type Policies struct {
	Cluster    []v1alpha1.ClusterSpawnPolicy
	Namespaced []v1alpha1.SpawnPolicy
	// Exempt are namespaces, beside kube-system, that a ClusterSpawnPolicy without namespaceSelector isn't
	// for: the product's own.
	Exempt []string
}

// PolicyError says what is wrong with a policy. Such a policy denies the pods that it matches.
type PolicyError struct {
	Policy PolicyRef
	// Field is the path inside the policy.
	Field   string
	Message string
}

// Error is the policy, the path and the sentence.
func (e PolicyError) Error() string { return e.Policy.String() + ": " + e.Field + ": " + e.Message }

// Compiled are policies in the form that pods are fitted from. It may be used by many goroutines at once.
type Compiled struct {
	// policies are those that are enforced.
	policies []*compiledPolicy
	// whole is the same with the audited policies as though they were enforced; nil where none is audited.
	whole  *Compiled
	exempt []string
	plans  planCache
}

// compiledPolicy is one policy, read once.
type compiledPolicy struct {
	ref      PolicyRef
	cluster  bool
	priority int32
	spec     *v1alpha1.SpawnPolicySpec
	hash     [sha256.Size]byte
	selector labels.Selector
	defaults block
	enforced block
	profiles []*compiledProfile
	// What is CEL.
	conditions  []compiledCondition
	expressions []compiledExpression
	mutations   []compiledMutation
	validations []compiledValidation
	// places: it is the cluster's, and may say in which namespace a server belongs.
	places bool

	errs field.ErrorList
}

// block is a settings block of a policy, with the place that it has there.
type block struct {
	tree  tree
	unset []unsetPath
	path  *field.Path
}

// Compile reads the policies. It never fails as a whole: what is wrong with a policy is in Errors, and the pods
// that such a policy matches are denied, unless it is audited.
func Compile(p Policies) *Compiled {
	c := &Compiled{exempt: append([]string{metav1.NamespaceSystem}, p.Exempt...)}
	for i := range p.Cluster {
		o := &p.Cluster[i]
		c.policies = append(c.policies, compilePolicy(PolicyRef{Name: o.Name, Generation: o.Generation}, &o.Spec))
	}
	for i := range p.Namespaced {
		o := &p.Namespaced[i]
		ns := o.Namespace
		if ns == "" {
			ns = metav1.NamespaceDefault
		}
		c.policies = append(c.policies, compilePolicy(PolicyRef{Namespace: ns, Name: o.Name, Generation: o.Generation}, &o.Spec))
	}
	slices.SortFunc(c.policies, weakestFirst)
	return c.enforcing()
}

// weakestFirst orders policies inside a layer: by priority, then by name. Cluster policies come before those of a
// namespace, which makes the order total.
func weakestFirst(a, b *compiledPolicy) int {
	return cmp.Or(
		cmp.Compare(a.ref.Namespace, b.ref.Namespace),
		cmp.Compare(a.priority, b.priority),
		cmp.Compare(a.ref.Name, b.ref.Name),
	)
}

// Errors are all the errors of all policies, in a stable order.
func (c *Compiled) Errors() []PolicyError {
	var all []PolicyError
	for _, p := range c.all() {
		for _, e := range p.errs {
			all = append(all, PolicyError{Policy: p.ref, Field: e.Field, Message: e.ErrorBody()})
		}
	}
	return all
}

func compilePolicy(ref PolicyRef, spec *v1alpha1.SpawnPolicySpec) *compiledPolicy {
	path := field.NewPath("spec")
	p := &compiledPolicy{ref: ref, cluster: ref.Namespace == "", priority: spec.Priority, spec: spec}
	encoded, err := json.Marshal(spec)
	if err != nil {
		p.errs = append(p.errs, field.InternalError(path, err))
	}
	p.hash = sha256.Sum256(encoded)
	p.errs = append(p.errs, checkSchema(spec, path)...)
	p.guarded(path, func() { p.compile(path) })
	return p
}

// guarded makes an error of a panic: one policy that no check foresaw must not stop a replica, and with it every hub.
func (p *compiledPolicy) guarded(path *field.Path, work func()) {
	defer func() {
		if r := recover(); r != nil {
			p.errs = append(p.errs, field.InternalError(path, fmt.Errorf("can't be compiled: %v", r)))
		}
	}()
	work()
}

func (p *compiledPolicy) compile(path *field.Path) {
	spec := p.spec
	p.compileSelection(path)
	p.defaults = p.compileBlock(spec.Defaults, path.Child("defaults"))
	p.enforced = p.compileBlock(spec.Enforced, path.Child("enforced"))
	p.errs = append(p.errs, checkEnforcedUnset(p.enforced.unset, path.Child("enforced", "unset"))...)
	p.compileProfiles(path.Child("profiles"))
	p.compileConditions(path.Child("matchConditions"))
	p.compileExpressions(path.Child("expressions"))
	p.compileMutations(path.Child("mutations"))
	p.compileValidations(path.Child("validations"))
	p.errs = append(p.errs, checkAdditions(spec.Additions, path.Child("additions"))...)
	if spec.Skeleton == v1alpha1.SkeletonKeep && len(spec.Profiles) > 0 {
		p.errs = append(p.errs, field.Forbidden(path.Child("profiles"), profilesWithKeep))
	}
	p.errs = append(p.errs, checkConstraints(spec.Constraints, path.Child("constraints"))...)
	p.places = p.cluster && p.saysNamespace()
}

func (p *compiledPolicy) compileSelection(path *field.Path) {
	if p.spec.NamespaceSelector != nil {
		s, err := metav1.LabelSelectorAsSelector(p.spec.NamespaceSelector)
		if err != nil {
			p.errs = append(p.errs, field.Invalid(path.Child("namespaceSelector"), "", err.Error()))
			s = labels.Everything()
		}
		p.selector = s
	}
	if p.cluster {
		if p.spec.GroupMap != nil && len(p.spec.Groups) > 0 {
			p.errs = append(p.errs, field.Invalid(path.Child("groupMap"), "", "can't stand beside groups: it says who is in which group, so it can't depend on one; take groups out, or give groupMap a policy of its own"))
		}
		if p.spec.GroupMap != nil && len(p.spec.MatchConditions) > 0 {
			p.errs = append(p.errs, field.Invalid(path.Child("groupMap"), "", "can't stand beside matchConditions: they may ask for groups, and it says who is in which"))
		}
		return
	}
	if p.spec.NamespaceSelector != nil {
		p.errs = append(p.errs, field.Forbidden(path.Child("namespaceSelector"), "belongs to a ClusterSpawnPolicy: a SpawnPolicy is for its own namespace"))
	}
	if p.spec.GroupMap != nil {
		p.errs = append(p.errs, field.Forbidden(path.Child("groupMap"), "belongs to a ClusterSpawnPolicy: only the platform team may say who is in which group"))
	}
}

// compileBlock reads a block and checks every fragment of it, so that nothing in it can be lost later.
func (p *compiledPolicy) compileBlock(s *v1alpha1.Settings, path *field.Path) block {
	b := block{path: path}
	if s == nil {
		return b
	}
	t, err := blockTree(s)
	if err != nil {
		p.errs = append(p.errs, field.InternalError(path, err))
		return b
	}
	var errs field.ErrorList
	b.tree = t
	b.unset, errs = parseUnsets(s.Unset, path.Child("unset"))
	p.errs = append(p.errs, errs...)
	p.errs = append(p.errs, checkBlock(t, path)...)
	return b
}

// checkBlock checks a block by itself: types, names and templates.
func checkBlock(t tree, path *field.Path) field.ErrorList {
	s, errs := decodeSettings(t, path)
	if len(errs) > 0 {
		return errs
	}
	_, errs = compileTemplates(s, t, path)
	return append(errs, checkSettings(s, path)...)
}

// checkSettings are the rules of single settings that their types don't hold.
func checkSettings(s *settings, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if slices.Contains(s.ExtraContainerConfig.Keys, "name") {
		errs = append(errs, field.Forbidden(path.Child("extraContainerConfig", "name"), "the user's container is always called "+NotebookContainer+": hub and policy find it by that name"))
	}
	if s.SlugScheme != nil && *s.SlugScheme != "safe" && *s.SlugScheme != "escape" {
		errs = append(errs, field.NotSupported(path.Child("slugScheme"), *s.SlugScheme, []string{"safe", "escape"}))
	}
	errs = append(errs, checkClaims(s.Claims, path.Child("claims"))...)
	for _, f := range []struct {
		name string
		text *string
	}{{"defaultUrl", s.DefaultURL}, {"notebookDir", s.NotebookDir}} {
		if _, err := parseSpawnerFormat(deref(f.text)); err != nil {
			errs = append(errs, field.Invalid(path.Child(f.name), *f.text, err.Error()))
		}
	}
	errs = append(errs, checkNamespaceSettings(s, path)...)
	for _, name := range []string{"priority", "preemptionPolicy", "overhead"} {
		if slices.Contains(s.ExtraPodConfig.Keys, name) {
			errs = append(errs, field.Forbidden(path.Child("extraPodConfig", name), "the API server computes it from priorityClassName or runtimeClassName and refuses any other value"))
		}
	}
	return errs
}

// hashOf is the hash of a set of policies, 16 hex digits.
func hashOf(policies []*compiledPolicy) string {
	h := sha256.New()
	for _, p := range policies {
		h.Write([]byte(p.ref.Namespace + "/" + p.ref.Name + "\n"))
		h.Write(p.hash[:])
	}
	const hashBytes = 8
	return hex.EncodeToString(h.Sum(nil)[:hashBytes])
}
