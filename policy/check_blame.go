package policy

import (
	"slices"
	"strings"
	"sync"
)

// verdict says what a denial of a sample server means for the policy that is checked.
type verdict int

const (
	// doubtful: it may be for the sample alone, as where an expression needs a fact about the user; a warning.
	doubtful verdict = iota
	// ofTheSample: the sample isn't admitted, which says nothing of the policy.
	ofTheSample
	// ofPolicies: policies contradict each other.
	ofPolicies
	// ofSettings: what policies set can't be had.
	ofSettings
)

// verdicts by the code of a denial. A code that isn't here is doubtful.
var verdicts = map[Code]verdict{
	NoPolicy: ofTheSample, LauncherNotAllowed: ofTheSample, SkeletonNotBare: ofTheSample, IdentityInvalid: ofTheSample,
	IdentityConflict: ofTheSample, ProfileUnknown: ofTheSample, ProfileNotAllowed: ofTheSample, FieldChanged: ofTheSample,
	NotGoverned: ofTheSample, PolicyChanged: ofTheSample,
	PolicyInvalid:   ofPolicies,
	TemplateInvalid: ofSettings, NameMismatch: ofSettings, ConstraintViolated: ofSettings, unbuildable: ofSettings,
}

func verdictOf(t *trouble) verdict {
	switch {
	case t.always:
		return ofPolicies
	case t.Code == NameMismatch && strings.HasPrefix(t.Field, "metadata."):
		return ofTheSample // the sample's namespace isn't that of its user
	case strings.HasPrefix(t.Field, "spec.validations"):
		return doubtful
	}
	return verdicts[t.Code]
}

// blame finds out whether the policy that is checked is to blame for a trouble: it is if the trouble ends without it, or without
// its settings.
type blame struct {
	*checker

	scene *scene
	trial trial
	// left are the troubles that remain with a variant. Each is tried when it is needed, as is the locator.
	left    map[variant]map[troubleKey]bool
	located func() (*locator, bool)
}

func newBlame(k *checker, s *scene, t trial) *blame {
	return &blame{
		checker: k, scene: s, trial: t, left: map[variant]map[troubleKey]bool{},
		located: sync.OnceValues(func() (*locator, bool) { return s.locator(t.identity) }),
	}
}

func (b *blame) on(t trouble) (failure, bool) {
	switch verdictOf(&t) {
	case ofTheSample:
	case ofPolicies:
		return b.conflict(t)
	case ofSettings:
		return b.settings(t)
	case doubtful:
		if t.Policy == nil || sameRef(*t.Policy, b.policy.ref) {
			b.warnOnce(b.trial.unit.path, "user ", b.trial.identity.User+" would be denied: "+t.Denial.String())
		}
	}
	return failure{}, false
}

func sameRef(a, b PolicyRef) bool { return a.Namespace == b.Namespace && a.Name == b.Name }

// conflict: others may be invalid without this policy too.
func (b *blame) conflict(t trouble) (failure, bool) {
	if b.remains(&t, withoutIt) {
		return failure{}, false
	}
	switch {
	case t.Policy == nil:
		path, message := b.place(t)
		return failure{path: path, message: message}, true
	case sameRef(*t.Policy, b.policy.ref):
		return failure{path: t.Field, message: t.Message, conflict: true}, true
	}
	path, message := b.counterpart(t)
	return failure{path: path, message: message, conflict: true}, true
}

// settings: with the same limits and selection, and without its settings.
func (b *blame) settings(t trouble) (failure, bool) {
	if b.remains(&t, bare) {
		if t.Policy != nil && sameRef(*t.Policy, b.policy.ref) {
			b.warnOnce("spec.constraints", "denies servers in "+b.scene.title, ": "+t.Field+": "+t.Message)
		}
		return failure{}, false
	}
	path, message := b.place(t)
	if at, computed := b.computed(t.from); computed {
		b.warnOnce(at, "user ", b.trial.identity.User+" would get no server: "+message)
		return failure{}, false
	}
	return failure{path: path, message: message}, true
}

// computed: what an expression makes of a sample, of whom it may lack facts, is no fault yet.
func (b *blame) computed(sources []source) (string, bool) {
	for _, s := range sources {
		for i := range b.policy.expressions {
			if e := &b.policy.expressions[i]; e.setting == s.setting && (e.key == "" || e.key == s.key) {
				return e.path.String(), true
			}
		}
	}
	return "", false
}

// warnOnce gives one reason of perhaps many.
func (b *blame) warnOnce(path, message, reason string) {
	if b.once("reason "+path, message) {
		b.warn(path, message+reason)
	}
}

// remains says whether there is the same trouble with a variant of the policy.
func (b *blame) remains(t *trouble, v variant) bool {
	left, tried := b.left[v]
	if !tried {
		id := b.trial.identity
		if p := b.trial.unit.profile; v == withoutIt && p != nil && p.policy == b.policy {
			id.Profile, id.Options = "", nil
		}
		left = map[troubleKey]bool{}
		for _, o := range b.fit(b.scene.variant(v), b.scene, id) {
			left[o.key()] = true
		}
		b.left[v] = left
	}
	return left[t.key()]
}

// place finds where in this policy a trouble comes from. Of other policies that it comes from too, the message tells.
func (b *blame) place(t trouble) (path, message string) {
	message = t.Message
	switch {
	case t.Policy == nil:
	case sameRef(*t.Policy, b.policy.ref):
		message += ": keep to that, or change the constraint"
	default:
		message += " (" + t.Policy.String() + "): keep to that, or have it changed there"
	}
	var elsewhere []string
	for _, where := range b.places(t.from) {
		if path == "" && sameRef(*where.policy, b.policy.ref) {
			path = where.path
		} else {
			elsewhere = append(elsewhere, where.policy.String()+", "+where.path)
		}
	}
	if len(elsewhere) > 0 {
		message += " (see " + strings.Join(elsewhere, " and ") + ")"
	}
	if path != "" {
		return path, message
	}
	path = "spec"
	if len(b.policy.spec.Mutations) > 0 {
		path = "spec.mutations"
	}
	return path, "the pod's " + t.Field + ": " + message
}

// whereabouts is a place in a policy.
type whereabouts struct {
	policy *PolicyRef
	path   string
}

// places are those of the sources that policies wrote.
func (b *blame) places(sources []source) []whereabouts {
	l, ok := b.located()
	if !ok {
		return nil
	}
	var found []whereabouts
	for _, s := range sources {
		if ref, path, known := l.find(s); known {
			w := whereabouts{ref, path}
			if !slices.ContainsFunc(found, func(o whereabouts) bool { return sameRef(*o.policy, *ref) && o.path == path }) {
				found = append(found, w)
			}
		}
	}
	return found
}

// locator finds places in the policies that a server is made by.
func (s *scene) locator(id Identity) (*locator, bool) {
	in := s.input(s.with, id)
	x, denials, _ := s.with.prepare(&in)
	if len(denials) > 0 {
		if x = s.selected(&in); x == nil {
			return nil, false
		}
	}
	layers := layersOf(x.policies, x.sel)
	l := newLocator(layers, (&plan{}).merge(layers))
	if x.plan != nil {
		x.expandNames()
		l.expand = func(text string) string {
			t, err := parseTemplate(text, placeholders)
			if err != nil {
				return text
			}
			expanded, err := t.expand(x.value)
			if err != nil {
				return text
			}
			return expanded
		}
	}
	return l, true
}

// selected is a server that isn't prepared any further than its layers.
func (s *scene) selected(in *Input) *server {
	chosen := s.with.selectPolicies(in)
	sel, denials, _ := choose(chosen.policies, in, chosen.groups)
	if len(denials) > 0 {
		return nil
	}
	return &server{in: in, policies: chosen.policies, sel: sel}
}

// counterpart is the place in this policy that makes another one invalid, as far as it can be told, and the other's place and
// error as message.
func (b *blame) counterpart(t trouble) (path, message string) {
	message = t.Policy.String() + ", " + t.Field + ": " + t.Message
	if slug, is := strings.CutSuffix(t.Field, ".slug"); is {
		if own := b.profileLike(*t.Policy, slug); own != nil {
			return own.path.Child("slug").String(),
				"profile \"" + own.spec.Slug + "\" is also in " + t.Policy.String() + ", " + slug + ": give one of them another slug"
		}
	}
	if b.policy.spec.Skeleton != "" && (t.Field == "spec.profiles" || t.Field == "spec.additions.mode") {
		return "spec.skeleton", message
	}
	setting := t.Field[strings.LastIndexAny(t.Field, ".")+1:]
	setting, _, _ = strings.Cut(setting, "[")
	for _, where := range b.places([]source{{setting, "", ""}}) {
		if sameRef(*where.policy, b.policy.ref) {
			return where.path, message
		}
	}
	for _, block := range []*block{&b.policy.defaults, &b.policy.enforced} {
		if _, has := block.tree[setting]; has {
			return block.path.Child(setting).String(), message
		}
	}
	return "spec", message
}

// profileLike is the own profile of the same slug as another policy's.
func (b *blame) profileLike(other PolicyRef, path string) *compiledProfile {
	for _, theirs := range profilesOf(b.scene.with.policies) {
		if !sameRef(theirs.policy.ref, other) || theirs.path.String() != path {
			continue
		}
		for _, own := range b.policy.profiles {
			if own.spec.Slug == theirs.spec.Slug {
				return own
			}
		}
	}
	return nil
}
