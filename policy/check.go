package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Findings are what is wrong with a policy, which is then refused, and what is doubtful about it.
type Findings struct {
	// Errors name the place in the policy and say what would be right.
	Errors []PolicyError
	// Warnings are for whoever writes the policy; at most 16 of 256 bytes each.
	Warnings []string
}

// Surroundings are what is known where a policy is checked, beside the other policies.
type Surroundings struct {
	// Namespaces with their labels. Where a SpawnPolicy's own isn't among them, it isn't known which ClusterSpawnPolicies it meets.
	Namespaces []Namespace
	// Before are the policies with the one that is checked as it was; nil: there was none. What was wrong with it then is a warning
	// now: else nobody could mend one thing after the other, or change anything that another policy made invalid meanwhile.
	Before *Compiled
	// TimeIsUp is asked between two servers that are tried; nil: it never is.
	TimeIsUp func() bool
}

// With gives the policies with others put among them, or in the place of those of the same name.
func (c *Compiled) With(p Policies) *Compiled {
	added := Compile(p)
	out := &Compiled{exempt: c.exempt, policies: slices.Clone(added.all())}
	for _, old := range c.all() {
		if added.find(old.ref) == nil {
			out.policies = append(out.policies, old)
		}
	}
	slices.SortFunc(out.policies, weakestFirst)
	return out.enforcing()
}

// Refs are the policies, weakest first, those of the cluster before those of namespaces.
func (c *Compiled) Refs() []PolicyRef {
	refs := make([]PolicyRef, 0, len(c.all()))
	for _, p := range c.all() {
		refs = append(refs, p.ref)
	}
	return refs
}

// NamespacesWithPolicies are the names of the namespaces that have SpawnPolicies, in order.
func (c *Compiled) NamespacesWithPolicies() []string {
	var names []string
	for _, p := range c.all() {
		if !p.cluster {
			names = append(names, p.ref.Namespace)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *Compiled) find(ref PolicyRef) *compiledPolicy {
	all := c.all()
	at := slices.IndexFunc(all, func(p *compiledPolicy) bool { return sameRef(p.ref, ref) })
	if at < 0 {
		return nil
	}
	return all[at]
}

// Check judges one of the policies by itself and together with those that it may meet. It tries what users could choose, for users
// of several kinds: a profile that nobody could start is to be found when it is written, not by its first user. What lies in
// other policies alone is no error of this one: else nobody could mend anything. An audited policy is judged as if it were enforced,
// which is what it is to become.
func (c *Compiled) Check(ref PolicyRef, s Surroundings) Findings {
	p := c.find(ref)
	if p == nil {
		return Findings{}
	}
	k := newChecker(c, p, s)
	k.doubtful()
	k.judge(s.Namespaces)
	if s.Before != nil && len(k.errors) > 0 {
		k.forgive(s)
	}
	k.tellOmitted()
	return Findings{Errors: k.errors, Warnings: abridgedWarnings(k.warnings)}
}

// checker collects what is found about one policy.
type checker struct {
	all      *Compiled
	policy   *compiledPolicy
	timeIsUp func() bool
	errors   []PolicyError
	warnings []string
	// said is what was refused or warned of already.
	said map[string]bool
	// fits counts the servers that were tried; cut: there were more.
	fits int
	cut  bool
	// blamed is how many troubles of one server are looked into; omitted is the most that weren't.
	blamed, omitted int
	tally           tally
}

func newChecker(c *Compiled, p *compiledPolicy, s Surroundings) *checker {
	k := &checker{all: c, policy: p, timeIsUp: s.TimeIsUp, said: map[string]bool{}, blamed: maxBlamed, tally: tally{failed: map[string]int{}, reason: map[string]string{}}}
	if s.Before != nil {
		k.blamed = maxBlamedAnew
	}
	return k
}

const (
	// maxFits bounds the servers that are tried for one policy. One takes a tenth of a millisecond.
	maxFits = 4096
	// maxBlamed bounds the troubles of one server that are looked into: more at once nobody reads.
	maxBlamed = 16
	// maxBlamedAnew is the same where new troubles are told from old ones.
	maxBlamedAnew = 256
)

// judge finds the errors.
func (k *checker) judge(known []Namespace) {
	for _, e := range k.policy.errs {
		k.refuse(e.Field, e.ErrorBody())
	}
	if len(k.policy.errs) == 0 {
		k.meet(scenesOf(k.all, k.policy, known))
	}
}

// forgive makes warnings, the first ones, of the errors that the policy had before.
func (k *checker) forgive(s Surroundings) {
	old := s.Before.find(k.policy.ref)
	if old == nil {
		return
	}
	before := newChecker(s.Before, old, s)
	before.judge(s.Namespaces)
	var forgiven []string
	k.errors = slices.DeleteFunc(k.errors, func(e PolicyError) bool {
		had := slices.ContainsFunc(before.errors, func(o PolicyError) bool { return o.Field == e.Field && o.Message == e.Message })
		if had {
			forgiven = append(forgiven, e.Field+": still denies servers: "+e.Message)
		}
		return had
	})
	k.warnings = append(forgiven, k.warnings...)
}

// over: no more may be tried.
func (k *checker) over() bool {
	if !k.cut {
		k.cut = k.fits >= maxFits || k.timeIsUp != nil && k.timeIsUp()
	}
	return k.cut
}

// once says whether something is said for the first time. Sentences are alike but for what stands in quotes, which may be of the
// user who was tried.
func (k *checker) once(what, message string) bool {
	key := saidKey(what, message)
	if k.said[key] {
		return false
	}
	k.said[key] = true
	return true
}

func saidKey(what, message string) string { return what + "\x00" + withoutQuoted(message) }

func errorKey(path, message string) string { return saidKey("error "+path, message) }

// refuse notes an error, unless it is known: other users fail for the same reason.
func (k *checker) refuse(path, message string) {
	if k.once("error "+path, message) {
		k.errors = append(k.errors, PolicyError{Policy: k.policy.ref, Field: path, Message: message})
	}
}

func (k *checker) warn(path, message string) {
	text := message
	if path != "" {
		text = path + ": " + message
	}
	if k.once("warning", text) {
		k.warnings = append(k.warnings, text)
	}
}

// tellOmitted: there may be more errors where some of a server's troubles weren't looked into.
func (k *checker) tellOmitted() {
	if n := len(k.errors); n > 0 && k.omitted > 0 {
		k.errors[n-1].Message += fmt.Sprintf("; and %d more like these", k.omitted)
	}
}

// alike: the same sentence, but for what stands in quotes.
func alike(a, b string) bool { return withoutQuoted(a) == withoutQuoted(b) }

func withoutQuoted(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// meet tries the policy in all scenes. A choice that nobody can start in any of them makes the policy invalid; one that can't be
// started in some of them is the affair of those who write the policies there.
func (k *checker) meet(scenes []*scene) {
	started := map[string]bool{}
	var failures []failure
	for _, ordinary := range []bool{true, false} {
		for _, s := range scenes {
			if !k.cut {
				failures = append(failures, k.play(s, ordinary, started)...)
			}
		}
	}
	failures = slices.DeleteFunc(failures, func(f failure) bool {
		is := !f.scene.beside && (f.conflict && f.scene.certain || !f.conflict && !started[f.choice])
		if is {
			k.refuse(f.path, f.message)
		}
		return is
	})
	for _, f := range failures {
		if !k.said[errorKey(f.path, f.message)] {
			k.warn(f.path, f.scene.where(f.conflict, f.message)+f.message)
		}
	}
	k.refuseForEverybody(scenes)
}

// tellCut names the first server that wasn't tried to the end. It comes first: of many warnings the last aren't shown.
func (k *checker) tellCut(s *scene, t trial) {
	who := "any user"
	if !t.ordinary {
		who = "unusual users and servers"
	}
	k.warnings = slices.Insert(k.warnings, 0, fmt.Sprintf("has more choices than are tried (%d servers): what comes after %s in %s for %s may turn out not to fit", k.fits, t.unit.path, s.title, who))
}

// where tells of a scene, before a failure there. Whoever writes a ClusterSpawnPolicy needs to know with whom to talk.
func (s *scene) where(conflict bool, message string) string {
	parts := []string{"in " + s.title}
	for _, p := range s.with.policies {
		if s.beside && !p.cluster && !strings.Contains(message, p.ref.String()) {
			parts = append(parts, "beside "+p.ref.String())
		}
	}
	if s.beside && conflict {
		parts = append(parts, "where servers are denied then")
	}
	return strings.Join(parts, ", ") + ": "
}

// failure is a server that couldn't be made, by this policy's fault.
type failure struct {
	scene *scene
	// choice is what was tried; path and message say why it failed.
	choice, path, message string
	// conflict: two policies contradict each other, so that no server at all can be made where they meet.
	conflict bool
}

// play tries all choices in one scene, and notes which could be started.
func (k *checker) play(s *scene, ordinary bool, started map[string]bool) []failure {
	var failures []failure
	for _, t := range k.trials(s, ordinary) {
		var found []failure
		if !k.over() {
			found = k.tryTyped(s, t)
		}
		if k.cut {
			k.tellCut(s, t)
			return append(failures, found...)
		}
		if len(found) == 0 {
			started[t.choice] = true
		}
		failures = append(failures, found...)
	}
	return failures
}

// tryTyped tries a server with each of the texts that a user may type, if there is any to type. What fails whatever is typed is a
// failure; if no text makes a server, but each for another reason, others may.
func (k *checker) tryTyped(s *scene, t trial) []failure {
	if len(t.typed) == 0 {
		return k.try(s, t)
	}
	var always []failure
	for i, text := range t.typed {
		if k.over() {
			return nil // what fails with some texts may be right with others
		}
		one := t
		one.identity.Options = map[string]string{t.unit.option.name + unlistedSuffix: text}
		found := k.try(s, one)
		if i == 0 {
			always = found
		}
		always = slices.DeleteFunc(always, func(f failure) bool {
			return !slices.ContainsFunc(found, func(o failure) bool { return o.path == f.path && alike(o.message, f.message) })
		})
		if len(found) == 0 {
			return nil
		}
	}
	if len(t.typed) == 1 || len(always) == 0 {
		k.warn(t.unit.path, fmt.Sprintf("no text was found that a user could type here: with %q it can't be started", t.typed[0]))
		return nil
	}
	return always
}

// try makes one server, and gives the reasons that are this policy's own where it can't be made.
func (k *checker) try(s *scene, t trial) []failure {
	troubles := k.fit(s.with, s, t.identity)
	k.count(troubles)
	if len(troubles) == 0 {
		k.look(s, t)
		return nil
	}
	var failures []failure
	blamed := newBlame(k, s, t)
	chosen := representatives(troubles, k.blamed)
	k.omitted = max(k.omitted, len(troubles)-len(chosen))
	for _, trouble := range chosen {
		if k.over() {
			break
		}
		if f, own := blamed.on(trouble); own {
			f.scene, f.choice = s, t.choice
			failures = append(failures, f)
		}
	}
	return failures
}

// trouble is a reason why a server can't be made.
type trouble struct {
	Denial
	// from are the settings that it may come from.
	from []source
}

// troubleKey is what makes two troubles one and the same.
type troubleKey struct {
	code                   Code
	policy, field, message string
}

func (t *trouble) key() troubleKey {
	key := troubleKey{code: t.Code, field: t.Field, message: t.Message}
	if t.Policy != nil {
		key.policy = t.Policy.String()
	}
	return key
}

// kind is the key without what tells one item of a list or map from another.
func (t *trouble) kind() troubleKey {
	key := t.key()
	key.field, key.message = withoutItems(t.Field), withoutQuoted(t.Message)
	return key
}

func withoutItems(path string) string {
	var b strings.Builder
	for i, part := range strings.Split(path, "[") {
		if _, after, closed := strings.Cut(part, "]"); i > 0 && closed {
			part = after
		}
		b.WriteString(part)
	}
	return b.String()
}

// representatives are the troubles to look into where there are many: of every kind the first, and then what there is room for.
func representatives(troubles []trouble, most int) []trouble {
	if len(troubles) <= most {
		return troubles
	}
	var first, others []trouble
	kinds := map[troubleKey]bool{}
	for i := range troubles {
		if kind := troubles[i].kind(); kinds[kind] {
			others = append(others, troubles[i])
		} else {
			kinds[kind] = true
			first = append(first, troubles[i])
		}
	}
	return append(first, others...)[:most]
}

// unbuildable stands for a code where the API server, and not the engine, would refuse the pod.
const unbuildable Code = "unbuildable"

// fit makes one server as admission would, and holds it against what the API server takes.
func (k *checker) fit(c *Compiled, s *scene, id Identity) []trouble {
	k.fits++
	in := s.input(c, id)
	result, err := c.Apply(in)
	if err != nil {
		return nil // our own failure, which is no fault of the policy's
	}
	if len(result.Denials) > 0 {
		troubles := make([]trouble, 0, len(result.Denials))
		for _, d := range result.Denials {
			troubles = append(troubles, trouble{Denial: d, from: sourcesOf(&d)})
		}
		return troubles
	}
	var troubles []trouble
	for _, f := range flawsOf(result.Pod, result.Claim, result.MoreClaims) {
		troubles = append(troubles, trouble{Denial: Denial{Code: unbuildable, Field: f.path, Message: f.message}, from: f.from})
	}
	return troubles
}

// sourcesOf are the settings that a denial speaks of. Their paths in the pod say which, except for names and sums.
func sourcesOf(d *Denial) []source {
	switch d.Code {
	case TemplateInvalid, NameMismatch:
		return []source{{d.Field, "", ""}}
	case PolicyInvalid:
		if d.Policy == nil && d.Field == "spec.containers" {
			return []source{{"extraPodConfig", "containers", ""}, {"extraContainers", NotebookContainer, ""}}
		}
	case ConstraintViolated:
		return sourcesOfViolation(d)
	}
	return nil
}

func sourcesOfViolation(d *Denial) []source {
	bound, _ := between(d.Message, "constraints.", ".max")
	for _, list := range []string{"initContainers", "containers"} {
		rest, is := strings.CutPrefix(d.Field, "spec."+list+"[")
		name, below, closed := strings.Cut(rest, "]")
		if !is || !closed {
			continue
		}
		at := spot{path: "spec." + list + "[" + name + "]", list: list, setting: map[string]string{"containers": "extraContainers", "initContainers": "initContainers"}[list], name: name}
		top, rest, _ := strings.Cut(strings.TrimPrefix(below, "."), ".")
		if rest != "" {
			rest = "." + rest
		}
		own := source{top, "", ""} // image
		if bound != "" {
			own = source{bound, "", ""}
		}
		return at.from(top, rest, own)
	}
	if name, is := strings.CutPrefix(d.Field, "spec.volumes["); is {
		name, rest, _ := strings.Cut(name, "]")
		return []source{{"extraPodConfig", "volumes", ""}, {"volumes", name, rest}}
	}
	if bound == "" {
		return sourcesNamed(d.Message)
	}
	if key, is := between(bound, "[", "]"); is {
		return []source{{"extraResourceLimits", key, ""}}
	}
	return []source{{bound, "", ""}}
}

// sourcesNamed are the things that a message of Pod Security names.
func sourcesNamed(message string) []source {
	var from []source
	if name, is := between(message, `container "`, `"`); is && name != NotebookContainer {
		from = append(from, source{"extraContainers", name, ""}, source{"initContainers", name, ""})
	}
	if name, is := between(message, `volume "`, `"`); is {
		from = append(from, source{"volumes", name, ""})
	}
	for _, name := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if strings.Contains(message, name) {
			from = append(from, source{"extraPodConfig", name, ""})
		}
	}
	return from
}

// profilesOf is one list of all profiles of policies.
func profilesOf(policies []*compiledPolicy) []*compiledProfile {
	var all []*compiledProfile
	for _, p := range policies {
		all = append(all, p.profiles...)
	}
	return all
}

// withoutSettings is a policy that selects, offers and forbids the same, and sets nothing: what fails with it all the same isn't
// for this policy's settings.
func (p *compiledPolicy) withoutSettings() *compiledPolicy {
	spec := *p.spec
	spec.Defaults, spec.Enforced, spec.Expressions, spec.Mutations = nil, nil, nil, nil
	return p.offering(&spec)
}

// withPlainProfiles is a policy whose profiles and choices set nothing.
func (p *compiledPolicy) withPlainProfiles() *compiledPolicy {
	spec := *p.spec
	return p.offering(&spec)
}

func (p *compiledPolicy) offering(spec *v1alpha1.SpawnPolicySpec) *compiledPolicy {
	spec.Profiles = slices.Clone(spec.Profiles)
	for i := range spec.Profiles {
		spec.Profiles[i].Settings, spec.Profiles[i].Options = nil, nil
	}
	plain := compilePolicy(p.ref, spec)
	for i := range plain.profiles {
		if i < len(p.profiles) {
			plain.profiles[i].options = plainOptions(p.profiles[i].options)
		}
	}
	return plain
}

func plainOptions(options []*compiledOption) []*compiledOption {
	plain := make([]*compiledOption, 0, len(options))
	for _, o := range options {
		own := *o
		own.choices = make([]*compiledChoice, 0, len(o.choices))
		for _, c := range o.choices {
			own.choices = append(own.choices, &compiledChoice{spec: c.spec})
		}
		if o.unlisted != nil {
			own.unlisted = &compiledUnlisted{spec: o.unlisted.spec, pattern: o.unlisted.pattern, settings: block{path: field.NewPath("spec")}}
		}
		plain = append(plain, &own)
	}
	return plain
}
