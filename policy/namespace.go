package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// UserNamespace says where a server belongs.
type UserNamespace struct {
	// Name of the namespace; "" where policy doesn't say: the launcher's own.
	Name string
	// Labels and Annotations of a namespace that is made, slipway.dev/hub included; nil where Create is false.
	Labels, Annotations map[string]string
	// Create: it is the user's own, and is made where it is missing. Else it has to be there.
	Create bool
}

// maxPlacements bounds how often a namespace is looked for by the labels of the one before. One more than two come of policies that
// give each other's namespaces labels.
const maxPlacements = 5

// Namespace says in which namespace a server belongs, before there need be one. ClusterSpawnPolicies say so, by enableUserNamespaces or
// namespace: which of them are for a server depends on the labels of its namespace, so each is asked what it would say in one that it
// selects, and is believed if all that match in the namespace that comes of that say the same. Of several namespaces the policy of the highest
// priority has its way; a denial names those of one priority that don't agree, and says why the first one can't tell.
//
// in.Namespace may be a namespace that is there: it is then judged by the labels that it has, and taken where several are possible.
// in.Caller matters for {hubnamespace}. The pod's name, claims and what was sent don't count.
func (c *Compiled) Namespace(in Input) (UserNamespace, []Denial) {
	in.Identity.Name, in.Identity.EnvSecret, in.Claims, in.Claim, in.Sent, in.Surplus, in.Shape = "", "", nil, nil, nil, nil, nil
	var found, failed []placement
	var others []Denial
	for _, p := range slices.Backward(c.policies) {
		if !p.places {
			continue
		}
		s := settling{Compiled: c, policy: p, known: in.Namespace, in: in}
		switch at, denials := s.settle(); {
		case s.isForOthers:
			others = append(others, denials...)
		case len(denials) > 0:
			failed = append(failed, placement{policy: p, denials: denials})
		case at.Name != "" && !slices.ContainsFunc(found, at.isAt):
			found = append(found, placement{UserNamespace: at, policy: p})
		}
	}
	found, failed = foremost(found, failed)
	asked := slices.IndexFunc(found, func(f placement) bool { return f.Name == in.Namespace.Name })
	switch {
	case asked >= 0:
		return found[asked].UserNamespace, nil
	case len(failed) > 0: // whatever makes a policy fail must not choose that another one is heard
		var denials []Denial
		for _, f := range failed {
			denials = append(denials, f.denials...)
		}
		return UserNamespace{}, withoutRepeats(denials)
	case len(found) == 0:
		return UserNamespace{}, withoutRepeats(others)
	case len(found) > 1:
		return UserNamespace{}, []Denial{disagreement(in.Identity.User, found)}
	}
	return found[0].UserNamespace, nil
}

// placement is a namespace, and the policy that says so, or fails to.
type placement struct {
	UserNamespace

	policy  *compiledPolicy
	denials []Denial
}

// foremost are those of the policies with the highest priority, whether they found a namespace or failed.
func foremost(found, failed []placement) (foundFirst, failedFirst []placement) {
	all := slices.Concat(found, failed)
	if len(all) == 0 {
		return nil, nil
	}
	first := slices.MaxFunc(all, func(a, b placement) int { return cmp.Compare(a.policy.priority, b.policy.priority) })
	isLater := func(f placement) bool { return f.policy.priority < first.policy.priority }
	return slices.DeleteFunc(found, isLater), slices.DeleteFunc(failed, isLater)
}

func (u UserNamespace) isAt(p placement) bool { return u.Name == p.Name }

func disagreement(user string, found []placement) Denial {
	said := make([]string, len(found))
	for i, f := range found {
		said[i] = fmt.Sprintf("%s says %q", f.policy.ref, f.Name)
	}
	slices.Sort(said)
	return denyf(NameMismatch, nil, fieldNamespace, "policies don't agree on the namespace of user %q: %s; say by their users, groups or hubs which of them is for whom, or by priority which goes first",
		user, strings.Join(said, ", "))
}

// fieldNamespace is where a pod says in which namespace it is.
const fieldNamespace = "metadata.namespace"

// withoutRepeats: two policies may fail for the reason of a third.
func withoutRepeats(denials []Denial) []Denial {
	var once []Denial
	for _, d := range denials {
		if !slices.ContainsFunc(once, func(o Denial) bool { return o.String() == d.String() && o.Code == d.Code }) {
			once = append(once, d)
		}
	}
	return once
}

// settling looks for a namespace in which the policies that match say that the server belongs there, beginning with one that
// selects policy.
type settling struct {
	*Compiled

	policy *compiledPolicy
	known  Namespace
	in     Input
	// isForOthers: policy turned out not to select the namespace that it gives.
	isForOthers bool
}

// settle gives no name where policy isn't for this server, or others keep it from saying anything.
func (s *settling) settle() (UserNamespace, []Denial) {
	at := Namespace{Labels: s.policy.likelyLabels()}
	s.in.Namespace, s.in.anyCaller = at, true
	if !s.isFor() {
		return UserNamespace{}, nil
	}
	// Nobody launches anything in the first, which isn't the server's.
	place, denials := s.place(&s.in)
	for range maxPlacements {
		if len(denials) > 0 || place.Name == "" {
			return UserNamespace{}, denials
		}
		next := s.labelled(place)
		if next.Name == at.Name && maps.Equal(next.Labels, at.Labels) {
			return place, nil
		}
		at = next
		s.in.Namespace, s.in.anyCaller = at, false
		before := place
		if place, denials = s.place(&s.in); (place.Name == "" || len(denials) > 0) && !s.isFor() {
			s.isForOthers = true
			return UserNamespace{}, []Denial{s.doesNotSelect(before.Name, at)}
		}
	}
	return UserNamespace{}, []Denial{denyf(NameMismatch, &s.policy.ref, fieldNamespace,
		"gives user %q namespace %q, where policies give another, and so on: let the labels of userNamespaceLabels select no policy that changes them or the namespace",
		s.in.Identity.User, place.Name)}
}

// isFor says whether policy matches in the namespace of in.
func (s *settling) isFor() bool {
	return slices.Contains(s.selectPolicies(&s.in).policies, s.policy)
}

func (s *settling) doesNotSelect(name string, at Namespace) Denial {
	return denyf(NameMismatch, &s.policy.ref, "spec.namespaceSelector",
		"isn't for namespace %q with labels %s, which it gives user %q: have userNamespaceLabels give it what the selector asks for", name, labels.Set(at.Labels), s.in.Identity.User)
}

// labelled is the namespace as it is or, where that isn't known, as it would be.
func (s *settling) labelled(place UserNamespace) Namespace {
	set := map[string]string{}
	switch {
	case place.Name == s.known.Name && s.known.Labels != nil:
		return s.known
	case place.Create:
		maps.Copy(set, place.Labels)
	default:
		maps.Copy(set, s.policy.likelyLabels())
	}
	set[corev1.LabelMetadataName] = place.Name
	return Namespace{Name: place.Name, Labels: set}
}

// place is what the policies that match in the namespace of in say of where the server belongs.
func (c *Compiled) place(in *Input) (UserNamespace, []Denial) {
	x, denials, _ := c.prepare(in)
	if len(denials) > 0 {
		return UserNamespace{}, denials
	}
	if denials := x.compute(); len(denials) > 0 {
		return UserNamespace{}, denials
	}
	return x.userNamespace()
}

// userNamespace expands what says where the server belongs.
func (x *server) userNamespace() (UserNamespace, []Denial) {
	setting, text := x.namespaceSetting()
	if text == nil {
		return UserNamespace{}, nil
	}
	name, err := x.expandText(*text)
	if err != nil {
		return UserNamespace{}, []Denial{denyf(TemplateInvalid, nil, setting, "%v", err)}
	}
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return UserNamespace{}, []Denial{denyf(NameMismatch, nil, setting, "gives %q, which is no name for a namespace: %s", name, inShort(problems))}
	}
	if setting == settingNamespace {
		return UserNamespace{Name: name}, nil
	}
	// For {pod_name}. What is wrong with the names is told when the pod is made.
	x.expandNames()
	set, denials := x.expandedMap("userNamespaceLabels", x.s.UserNamespaceLabels, validation.IsValidLabelValue)
	set[LabelHub] = x.in.Identity.Hub
	annotations, more := x.expandedMap("userNamespaceAnnotations", x.s.UserNamespaceAnnotations, nil)
	return UserNamespace{Name: name, Labels: set, Annotations: annotations, Create: true}, append(denials, more...)
}

// expandedMap fills in the templates of labels or annotations; valid gives what is wrong with a value, and may be nil.
func (x *server) expandedMap(setting string, texts map[string]string, valid func(string) []string) (map[string]string, []Denial) {
	out := map[string]string{}
	var denials []Denial
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		at := setting + "[" + key + "]"
		value, err := x.expandText(texts[key])
		if err != nil {
			denials = append(denials, denyf(TemplateInvalid, nil, at, "%v", err))
			continue
		}
		if valid != nil {
			if problems := valid(value); len(problems) > 0 {
				denials = append(denials, denyf(TemplateInvalid, nil, at, "gives %q, which is no value for a label: %s", value, inShort(problems)))
			}
		}
		out[key] = value
	}
	return out, denials
}

const (
	settingNamespace             = "namespace"
	settingEnableUserNamespaces  = "enableUserNamespaces"
	settingUserNamespaceTemplate = "userNamespaceTemplate"
)

// namespaceSetting is the setting that says where the server belongs, and its text; nil where policy doesn't say. A namespace that is
// named goes before the user's own, so that an expression can send some users to their team's.
func (x *server) namespaceSetting() (setting string, text *string) {
	switch {
	case deref(x.s.Namespace) != "":
		return settingNamespace, x.s.Namespace
	case isTrue(x.s.EnableUserNamespaces):
		return settingUserNamespaceTemplate, x.s.UserNamespaceTemplate
	}
	return "", nil
}

// checkNamespaceSettings finds what no user's server could be started with; what depends on the user is found then.
func checkNamespaceSettings(s *settings, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		text *string
	}{{settingNamespace, s.Namespace}, {settingUserNamespaceTemplate, s.UserNamespaceTemplate}} {
		t, err := parseTemplate(deref(f.text), placeholders)
		if err != nil || len(t.parts) == 0 {
			continue // the one is told elsewhere, and the other says nothing
		}
		// Any value will do for what the text has beside its placeholders.
		name, _ := t.expand(func(string) (string, error) { return "a", nil })
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Child(f.name), *f.text, "gives no name for a namespace: "+inShort(problems)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.UserNamespaceLabels)) {
		value, at := s.UserNamespaceLabels[key], path.Child("userNamespaceLabels").Key(key)
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			errs = append(errs, field.Invalid(at, key, "is no key for a label: "+inShort(problems)))
		}
		if problems := validation.IsValidLabelValue(value); !isTemplate(value) && len(problems) > 0 {
			errs = append(errs, field.Invalid(at, value, "is no value for a label: "+inShort(problems)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.UserNamespaceAnnotations)) {
		if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Child("userNamespaceAnnotations").Key(key), key, "is no key for an annotation: "+inShort(problems)))
		}
	}
	return errs
}

// saysNamespace says whether a policy by itself may say where servers belong.
func (p *compiledPolicy) saysNamespace() bool {
	if slices.ContainsFunc(p.expressions, func(e compiledExpression) bool {
		return e.setting == settingNamespace || e.setting == settingEnableUserNamespaces
	}) {
		return true
	}
	says := func(b block) bool {
		_, named := b.tree[settingNamespace]
		return named || b.tree[settingEnableUserNamespaces] == true
	}
	return says(p.defaults) || says(p.enforced) || slices.ContainsFunc(p.profiles, func(profile *compiledProfile) bool {
		return says(profile.settings) || slices.ContainsFunc(profile.options, func(o *compiledOption) bool {
			return slices.ContainsFunc(o.choices, func(choice *compiledChoice) bool { return says(choice.settings) })
		})
	})
}

// likelyLabels are those of a namespace that the policy selects, with the ones that it gives, as far as they can be said beforehand.
func (p *compiledPolicy) likelyLabels() map[string]string {
	set := map[string]string{}
	for _, b := range []block{p.defaults, p.enforced} {
		given, _ := b.tree["userNamespaceLabels"].(tree)
		for key, value := range given {
			if text, is := value.(string); is && !isTemplate(text) {
				set[key] = text
			}
		}
	}
	maps.Copy(set, labelsFor(p.spec.NamespaceSelector))
	return set
}
