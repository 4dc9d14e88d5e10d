package policy

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"regexp"
	"slices"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// unlistedSuffix marks, among the options of an identity, the text that a user typed.
const unlistedSuffix = "--unlisted-choice"

// compiledProfile is one profile of a policy.
type compiledProfile struct {
	policy   *compiledPolicy
	path     *field.Path
	spec     *v1alpha1.Profile
	settings block
	options  []*compiledOption
}

// compiledOption is one question of a profile.
type compiledOption struct {
	// name by which it is answered, and displayName, which may be empty.
	name, displayName string

	path     *field.Path
	choices  []*compiledChoice
	unlisted *compiledUnlisted
}

// compiledChoice is one answer.
type compiledChoice struct {
	spec     v1alpha1.ProfileChoice
	settings block
}

// compiledUnlisted is an answer that the user types.
type compiledUnlisted struct {
	spec *v1alpha1.UnlistedChoice
	// pattern prefers the longest match, so that it says whether the whole value is one (see permitted); nil allows any.
	pattern *regexp.Regexp
	// settings still hold {value}.
	settings block
}

func (p *compiledPolicy) compileProfiles(path *field.Path) {
	for i := range p.spec.Profiles {
		s := &p.spec.Profiles[i]
		at := path.Index(i)
		if s.Slug == "" {
			p.errs = append(p.errs, field.Required(at.Child("slug"), "the name by which the profile is chosen"))
		}
		c := &compiledProfile{policy: p, path: at, spec: s, settings: p.compileBlock(s.Settings, at.Child("settings"))}
		c.options = p.compileOptions(s, at.Child("options"))
		for _, other := range p.profiles {
			if other.spec.Slug == s.Slug {
				p.errs = append(p.errs, field.Invalid(at.Child("slug"), s.Slug, "the same slug as "+other.path.String()+": give one of them another"))
			}
		}
		p.profiles = append(p.profiles, c)
	}
}

func (p *compiledPolicy) compileOptions(s *v1alpha1.Profile, path *field.Path) []*compiledOption {
	if s.Options == nil {
		return nil
	}
	items, paths := p.readItems(s.Options.Raw, path)
	var options []*compiledOption
	for i, item := range items {
		var spec v1alpha1.ProfileOption
		if !p.readStrict(item, &spec, paths[i]) {
			continue
		}
		o := &compiledOption{name: spec.Name, displayName: spec.DisplayName, path: paths[i]}
		if spec.Choices != nil {
			o.choices = p.compileChoices(spec.Choices.Raw, paths[i].Child("choices"))
		}
		if spec.UnlistedChoice != nil {
			o.unlisted = p.compileUnlisted(spec.UnlistedChoice, paths[i].Child("unlistedChoice"))
		}
		if len(o.choices) == 0 && o.unlisted == nil {
			p.errs = append(p.errs, field.Required(paths[i].Child("choices"), "an option needs choices, or an unlistedChoice"))
		}
		options = append(options, o)
	}
	return options
}

func (p *compiledPolicy) compileChoices(raw []byte, path *field.Path) []*compiledChoice {
	items, paths := p.readItems(raw, path)
	var choices []*compiledChoice
	for i, item := range items {
		c := &compiledChoice{}
		if p.readStrict(item, &c.spec, paths[i]) {
			c.settings = p.compileBlock(c.spec.Settings, paths[i].Child("settings"))
			choices = append(choices, c)
		}
	}
	return choices
}

func (p *compiledPolicy) compileUnlisted(spec *v1alpha1.UnlistedChoice, path *field.Path) *compiledUnlisted {
	u := &compiledUnlisted{spec: spec}
	if spec.ValidationRegex != "" {
		pattern, err := regexp.Compile(spec.ValidationRegex)
		if err != nil {
			p.errs = append(p.errs, field.Invalid(path.Child("validationRegex"), spec.ValidationRegex, "must be a regular expression in RE2 syntax: "+err.Error()))
			return u
		}
		pattern.Longest()
		u.pattern = pattern
	}
	at := path.Child("settings")
	u.settings.path = at
	if spec.Settings == nil {
		return u
	}
	t, err := asTree(spec.Settings.Raw)
	if err != nil {
		p.errs = append(p.errs, field.Invalid(at, "", err.Error()))
		return u
	}
	p.errs = append(p.errs, nulls(t, at)...)
	if raw, has := t["unset"]; has {
		var list []string
		if p.readStrict(raw, &list, at.Child("unset")) {
			var errs field.ErrorList
			u.settings.unset, errs = parseUnsets(list, at.Child("unset"))
			p.errs = append(p.errs, errs...)
		}
		delete(t, "unset")
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if _, known := settingFields[name]; !known {
			p.errs = append(p.errs, field.Invalid(at.Child(name), name, "unknown field"+DidYouMean(name, slices.Collect(maps.Keys(settingFields)))))
		}
	}
	u.settings.tree = t
	return u
}

// permitted says whether the whole of what a user typed matches. The pattern is used as it is: in \A(?:…)\z, a)|(b gets out of the
// brackets, and \Qa, which is valid, takes them for text and is invalid.
func (u *compiledUnlisted) permitted(typed string) bool {
	if u.pattern == nil {
		return true
	}
	// Of the matches that begin first, the longest: the whole is a match if and only if it is this one.
	at := u.pattern.FindStringIndex(typed)
	return slices.Equal(at, []int{0, len(typed)})
}

// readItems reads a list, or a map by name, of options or choices.
func (p *compiledPolicy) readItems(raw []byte, path *field.Path) ([]any, []*field.Path) {
	v, err := asAny(raw)
	if err != nil {
		p.errs = append(p.errs, field.Invalid(path, "", err.Error()))
		return nil, nil
	}
	items, paths, errs := asList(v, byName, path)
	errs = append(errs, nulls(v, path)...)
	p.errs = append(p.errs, errs...)
	if len(errs) > 0 {
		return nil, nil
	}
	return items, paths
}

func (p *compiledPolicy) readStrict(value, into any, path *field.Path) bool {
	data, err := json.Marshal(value)
	if err != nil {
		p.errs = append(p.errs, field.InternalError(path, err))
		return false
	}
	strict, err := sigsjson.UnmarshalStrict(data, into)
	if err != nil {
		p.errs = append(p.errs, misfits(value, reflect.TypeOf(into), path)...)
	}
	for _, e := range strict {
		p.errs = append(p.errs, strictError(e, reflect.TypeOf(into), path))
	}
	return err == nil && len(strict) == 0
}

func asAny(raw []byte) (any, error) {
	var v any
	if err := utiljson.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("must be JSON: %w", err)
	}
	return v, nil
}

func asTree(raw []byte) (tree, error) {
	t := tree{}
	if err := utiljson.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("must be an object: %w", err)
	}
	return t, nil
}

// selection is what the user gets: a profile and, for each of its options, a choice or a typed value. The zero value is no
// choice at all.
type selection struct {
	profile *compiledProfile
	// layers are the settings of profile and choices, weakest first.
	layers []layer
	// key names the selection among all of its profile; "" where a value was typed, so that nothing is kept of it.
	key    string
	unique bool
	// answers are the choices that were made, or what was typed, in the order of the options.
	answers []answer
}

// answer is what the user gets for one option: a choice, or, under NAME--unlisted-choice as in the identity, the typed text.
type answer struct{ option, value string }

// chosen are the answers by option.
func (s *selection) chosen() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, a := range s.answers {
			if !yield(a.option, a.value) {
				return
			}
		}
	}
}

// choose finds the profile and choices that the identity names. What wasn't named has a default.
func choose(policies []*compiledPolicy, in *Input, groups []string) (selection, []Denial, []string) {
	all, denials := allProfiles(policies)
	if len(denials) > 0 {
		return selection{}, denials, nil
	}
	id := &in.Identity
	if len(all) == 0 {
		if id.Profile != "" {
			return selection{}, []Denial{denyf(ProfileUnknown, nil, "metadata.annotations["+AnnotationProfile+"]", "no policy here has profiles, so %q can't be chosen", id.Profile)}, nil
		}
		return selection{}, nil, nil
	}
	profile, denial := chooseProfile(all, id, groups)
	if denial != nil {
		return selection{}, []Denial{*denial}, nil
	}
	sel := selection{profile: profile, key: profile.policy.ref.String() + " " + profile.spec.Slug}
	sel.layers = append(sel.layers, layer{name: layerProfile, policy: &profile.policy.ref, block: profile.settings})
	known := map[string]bool{}
	for _, o := range profile.options {
		known[o.name], known[o.name+unlistedSuffix] = true, true
		if d := sel.answer(o, id, groups); d != nil {
			denials = append(denials, *d)
		}
	}
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(id.Options)) {
		if !known[name] {
			warnings = append(warnings, fmt.Sprintf("option %q is no option of profile %q and has no effect", name, profile.spec.Slug))
		}
	}
	return sel, denials, warnings
}

// allProfiles is the union over the policies. One slug twice would make it a matter of chance what a user gets.
func allProfiles(policies []*compiledPolicy) ([]*compiledProfile, []Denial) {
	var all []*compiledProfile
	var denials []Denial
	for _, p := range policies {
		for _, c := range p.profiles {
			for _, other := range all {
				if other.spec.Slug == c.spec.Slug {
					denials = append(denials, denyf(PolicyInvalid, &p.ref, c.path.Child("slug").String(),
						"profile %q is also in %s, %s: give one of them another slug", c.spec.Slug, other.policy.ref, other.path))
				}
			}
			all = append(all, c)
		}
	}
	return all, denials
}

func chooseProfile(all []*compiledProfile, id *Identity, groups []string) (*compiledProfile, *Denial) {
	path := "metadata.annotations[" + AnnotationProfile + "]"
	if id.Profile != "" {
		at := slices.IndexFunc(all, func(c *compiledProfile) bool { return c.spec.Slug == id.Profile })
		if at < 0 {
			d := denyf(ProfileUnknown, nil, path, "there is no profile %q", id.Profile)
			return nil, &d
		}
		if c := all[at]; !permits(c.spec.AllowedUsers, c.spec.AllowedGroups, id.User, groups) {
			d := denyf(ProfileNotAllowed, &c.policy.ref, c.path.String(), "user %q may not choose profile %q", id.User, id.Profile)
			return nil, &d
		}
		return all[at], nil
	}
	var first *compiledProfile
	for _, c := range all {
		if !permits(c.spec.AllowedUsers, c.spec.AllowedGroups, id.User, groups) {
			continue
		}
		if c.spec.Default {
			return c, nil
		}
		if first == nil {
			first = c
		}
	}
	if first == nil {
		d := denyf(ProfileNotAllowed, nil, path, "no profile here is for user %q", id.User)
		return nil, &d
	}
	return first, nil
}

// permits: nobody is shut out where neither users nor groups are named.
func permits(users, inGroups []string, user string, groups []string) bool {
	if len(users) == 0 && len(inGroups) == 0 {
		return true
	}
	return matchesAny(users, user) || intersects(inGroups, groups)
}

// answer adds the settings of what the user chose for one option.
func (s *selection) answer(o *compiledOption, id *Identity, groups []string) *Denial {
	ref := &s.profile.policy.ref
	if typed := id.Options[o.name+unlistedSuffix]; typed != "" {
		return s.answerTyped(o, typed, id, groups)
	}
	chosen := id.Options[o.name]
	var pick *compiledChoice
	for _, c := range o.choices {
		allowed := permits(c.spec.AllowedUsers, c.spec.AllowedGroups, id.User, groups)
		switch {
		case chosen != "" && c.spec.Name == chosen && !allowed:
			d := denyf(ProfileNotAllowed, ref, o.path.Child("choices").Key(chosen).String(), "user %q may not choose %q for option %q", id.User, chosen, o.name)
			return &d
		case chosen != "" && c.spec.Name == chosen:
			pick = c
		case chosen == "" && allowed && (pick == nil || c.spec.Default && !pick.spec.Default):
			pick = c
		}
	}
	if pick == nil {
		d := denyf(OptionInvalid, ref, o.path.String(), "option %q has no choice %q", o.name, chosen)
		may := o.unlisted != nil && permits(o.unlisted.spec.AllowedUsers, o.unlisted.spec.AllowedGroups, id.User, groups)
		switch {
		case chosen == "" && may && len(o.choices) == 0:
			d.Message = fmt.Sprintf("option %q has no choices: its value is given as option %q", o.name, o.name+unlistedSuffix)
		case chosen == "":
			d.Message = fmt.Sprintf("option %q has no default choice for user %q: choose one", o.name, id.User)
		case may:
			d.Message += fmt.Sprintf(": a value that isn't listed is given as option %q", o.name+unlistedSuffix)
		}
		return &d
	}
	s.layers = append(s.layers, layer{name: layerChoice, policy: ref, block: pick.settings})
	s.key += "\x00" + pick.spec.Name
	s.answers = append(s.answers, answer{o.name, pick.spec.Name})
	return nil
}

// answerTyped takes the user's text in. It is checked here whether or not a profile was named: KubeSpawner skips the
// check where no profile is named, which lets any text through.
func (s *selection) answerTyped(o *compiledOption, typed string, id *Identity, groups []string) *Denial {
	ref := &s.profile.policy.ref
	u := o.unlisted
	switch {
	case u == nil:
		d := denyf(OptionInvalid, ref, o.path.String(), "option %q takes no value of the user's own", o.name)
		return &d
	case !permits(u.spec.AllowedUsers, u.spec.AllowedGroups, id.User, groups):
		d := denyf(ProfileNotAllowed, ref, o.path.Child("unlistedChoice").String(), "user %q may not type a value for option %q", id.User, o.name)
		return &d
	case !u.permitted(typed):
		why := u.spec.ValidationMessage
		if why == "" {
			why = "it must match " + u.spec.ValidationRegex
		}
		d := denyf(OptionInvalid, ref, o.path.Child("unlistedChoice").String(), "the value of option %q isn't allowed: %s", o.name, why)
		return &d
	}
	b := u.settings
	b.tree = substituted(b.tree, typed)
	s.layers = append(s.layers, layer{name: layerChoice, policy: ref, block: b})
	s.unique = true
	s.answers = append(s.answers, answer{o.name + unlistedSuffix, typed})
	return nil
}

// substituted puts the typed value into every string of a block, and into keys below the settings' own names.
func substituted(t tree, value string) tree {
	out := make(tree, len(t))
	for name, v := range t {
		// JupyterHub itself expands these two.
		formatted := name == "defaultUrl" || name == "notebookDir"
		out[name] = substituteIn(v, value, formatted || definitions[name].expand != nil)
	}
	return out
}

func substituteIn(v any, value string, expandedLater bool) any {
	switch v := v.(type) {
	case string:
		return substituteValue(v, value, expandedLater)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = substituteIn(v[i], value, expandedLater)
		}
		return out
	case tree:
		out := make(tree, len(v))
		for k, item := range v {
			// Keys are never expanded later.
			out[substituteValue(k, value, false)] = substituteIn(item, value, expandedLater)
		}
		return out
	}
	return v
}
