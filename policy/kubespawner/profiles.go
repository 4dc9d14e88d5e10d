package kubespawner

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// profiles reads profile_list.
func (c *converter) profiles(given map[string]any) []v1alpha1.Profile {
	v, ok := given["profile_list"]
	if !ok {
		return nil
	}
	at := c.origin("profile_list")
	if name, ok := callable(v); ok {
		c.add(Finding{Kind: Unmapped, Path: at, Why: "is the Python function " + name + where(v.(Object)) + ", which a cluster can't run",
			Do:    "write its profiles in the policy; who may choose which is said by allowedGroups and allowedUsers",
			Draft: "profiles:\n- slug: gpu\n  displayName: GPU\n  allowedGroups: [staff]\n  settings: {}"})
		return nil
	}
	items, paths := c.profileItems(v, at)
	profiles := make([]v1alpha1.Profile, 0, len(items))
	slugs := map[string]string{}
	hasDefault := false
	for i, o := range items {
		p := c.profile(o, paths[i], i)
		if p == nil {
			continue
		}
		if first, twice := slugs[p.Slug]; twice {
			c.refusef(paths[i], "has the slug %q, as %s has: KubeSpawner would only ever find the first; give one of them another slug", p.Slug, first)
		}
		slugs[p.Slug] = paths[i]
		if p.Default && hasDefault {
			p.Default = false
			c.find(Warning, Child(paths[i], "default"), "an earlier profile is the default already, and KubeSpawner takes the first", "it is left out")
		}
		hasDefault = hasDefault || p.Default
		profiles = append(profiles, *p)
	}
	return profiles
}

func (c *converter) profileItems(v any, at string) ([]Object, []string) {
	var items []Object
	var paths []string
	take := func(v any, at string) {
		o, ok := v.(Object)
		if !ok {
			c.wrongType(at, "a map", v)
			return
		}
		items, paths = append(items, o), append(paths, at)
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			take(item, Index(at, i))
		}
	case Object:
		// The keys are for the order alone; they are no slugs.
		for _, m := range v.sorted() {
			take(m.Value, Child(at, m.Key))
		}
	default:
		c.wrongType(at, "a list of profiles, or a map whose values are profiles", v)
	}
	return items, paths
}

func (c *converter) profile(o Object, at string, position int) *v1alpha1.Profile {
	display, ok := c.text(o, "display_name", at)
	if !ok {
		c.refusef(at, "needs display_name: KubeSpawner fails without it, even where there is a slug")
		return nil
	}
	p := &v1alpha1.Profile{DisplayName: display, Slug: Slugify(display)}
	if slug, has := o.Get("slug"); has {
		p.Slug, _ = slug.(string)
		if _, isText := slug.(string); !isText {
			c.wrongType(Child(at, "slug"), "text", slug)
			return nil
		}
	}
	if p.Slug == "" {
		p.Slug = "profile-" + strconv.Itoa(position+1)
		c.find(Warning, at, "its slug is empty, so that nobody can choose it in KubeSpawner", "the policy calls it "+p.Slug)
	}
	p.Description, _ = c.text(o, "description", at)
	p.Default = c.truthy(o, "default")
	p.AllowedGroups, p.AllowedUsers = c.allowed(o, at)
	c.ignored(o, at, "KubeSpawner has no such key in a profile and ignores it", "display_name", "slug", "description", "default",
		"kubespawner_override", "profile_options", "allowed_groups", "allowed_users")
	c.profileSettings(p, o, at, "spec.profiles["+strconv.Itoa(position)+"]")
	return p
}

// profileSettings applies the profile's override and then its options, in KubeSpawner's order.
func (c *converter) profileSettings(p *v1alpha1.Profile, o Object, at, policyAt string) {
	c.override = true
	defer func() { c.override = false }()
	optionsAt := Child(at, "profile_options")
	options := c.options(o, optionsAt)
	now := state(maps.Clone(c.base))
	if v, has := o.Get("kubespawner_override"); has {
		b, after := c.overrides(v, Child(at, "kubespawner_override"), policyAt+".settings", now, mergedByOptions(options))
		p.Settings = c.settings(b, Child(at, "kubespawner_override"))
		now = after
	}
	list := make([]any, 0, len(options))
	for _, m := range options {
		option, after := c.option(m.Key, m.Value.(Object), Child(optionsAt, m.Key), policyAt+".options["+strconv.Itoa(len(list))+"]", now)
		now = after
		if option != nil {
			list = append(list, option)
		}
	}
	if len(list) == 0 {
		return
	}
	data, err := marshal(list)
	if err != nil {
		c.refusef(optionsAt, "%s", err)
		return
	}
	p.Options = &apiextensionsv1.JSON{Raw: data}
}

// options are those entries of profile_options that are maps.
func (c *converter) options(o Object, at string) Object {
	v, has := o.Get("profile_options")
	if !has {
		return nil
	}
	all, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map of options", v)
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Member) bool {
		_, ok := m.Value.(Object)
		if !ok {
			c.wrongType(Child(at, m.Key), "a map", m.Value)
		}
		return !ok
	})
}

// mergedByOptions are the traits for which an option has a map.
func mergedByOptions(options Object) map[string]bool {
	merged := map[string]bool{}
	note := func(v any) {
		o, _ := v.(Object)
		override, _ := o.Get("kubespawner_override")
		traits, _ := override.(Object)
		for _, m := range traits {
			if _, isMap := m.Value.(Object); isMap {
				merged[today(m.Key)] = true
			}
		}
	}
	for _, option := range options {
		o, _ := option.Value.(Object)
		choices, _ := o.Get("choices")
		all, _ := choices.(Object)
		for _, choice := range all {
			note(choice.Value)
		}
		unlisted, _ := o.Get("unlisted_choice")
		note(unlisted)
	}
	return merged
}

// option reads one question; nil where no answer can be carried over, which was reported. What its choices leave behind decides how
// maps of later options are applied.
func (c *converter) option(name string, o Object, at, policyAt string, before state) (Object, state) {
	out := Object{{"name", name}}
	if display, ok := c.text(o, "display_name", at); ok {
		out = out.With("displayName", display)
	}
	c.ignored(o, at, "KubeSpawner has no such key in an option and ignores it", "display_name", "choices", "unlisted_choice")
	after := before
	choices, afterChoices := c.choices(o, Child(at, "choices"), policyAt+".choices", before)
	if len(choices) > 0 {
		out, after = out.With("choices", choices), afterChoices
	}
	if unlisted, afterTyped := c.unlisted(o, Child(at, "unlisted_choice"), policyAt+".unlistedChoice", before); unlisted != nil {
		out = out.With("unlistedChoice", unlisted)
		after = c.eitherOf(after, afterTyped, at)
	} else if len(choices) == 0 {
		if !c.offersText(o) {
			c.refusef(at, "has neither choices nor an enabled unlisted_choice, so KubeSpawner can't start this profile at all")
		}
		return nil, before
	}
	return out, after
}

// offersText says whether KubeSpawner has users type an answer.
func (c *converter) offersText(option Object) bool {
	unlisted, _ := option.Get("unlisted_choice")
	o, _ := unlisted.(Object)
	return c.truthy(o, "enabled")
}

func (c *converter) choices(o Object, at, policyAt string, before state) ([]any, state) {
	v, has := o.Get("choices")
	if !has || v == nil {
		return nil, before
	}
	all, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map of choices", v)
		return nil, before
	}
	var list []any
	var after state
	hasDefault := false
	for _, m := range all {
		here := Child(at, m.Key)
		choice, ok := m.Value.(Object)
		if !ok {
			c.wrongType(here, "a map", m.Value)
			continue
		}
		out, then := c.choice(m.Key, choice, here, policyAt+"["+strconv.Itoa(len(list))+"]", before)
		if c.truthy(choice, "default") && !hasDefault {
			hasDefault = true
			out = append(slices.Clip(out), Member{"default", true})
		}
		list = append(list, orderedChoice(out))
		if after = c.eitherOf(after, then, at); after == nil {
			after = then
		}
	}
	return list, after
}

// orderedChoice puts the default mark before the settings, where a reader looks for it.
func orderedChoice(o Object) Object {
	var out Object
	for _, key := range []string{"name", "displayName", "default", "allowedGroups", "allowedUsers", "settings"} {
		if v, has := o.Get(key); has {
			out = append(out, Member{key, v})
		}
	}
	return out
}

func (c *converter) choice(name string, o Object, at, policyAt string, before state) (Object, state) {
	out := Object{{"name", name}}
	if display, ok := c.text(o, "display_name", at); ok {
		out = out.With("displayName", display)
	}
	groups, users := c.allowed(o, at)
	if len(groups) > 0 {
		out = out.With("allowedGroups", texts(groups))
	}
	if len(users) > 0 {
		out = out.With("allowedUsers", texts(users))
	}
	c.ignored(o, at, "KubeSpawner has no such key in a choice and ignores it", "display_name", "default", "kubespawner_override", "allowed_groups", "allowed_users")
	v, has := o.Get("kubespawner_override")
	if !has {
		return out, before
	}
	b, after := c.overrides(v, Child(at, "kubespawner_override"), policyAt+".settings", before, nil)
	return c.withSettings(out, b, Child(at, "kubespawner_override")), after
}

func (c *converter) withSettings(out Object, b *block, at string) Object {
	s := c.settings(b, at)
	if s == nil {
		return out
	}
	data, err := marshal(s)
	if err != nil {
		c.refusef(at, "%s", err)
		return out
	}
	var settings Object
	if err := settings.UnmarshalJSON(data); err != nil {
		c.refusef(at, "%s", err)
		return out
	}
	return out.With("settings", settings)
}

// eitherOf is what the traits may be after one of two choices. Whether a later map is merged or replaces can then depend on
// the choice, which a policy can't say.
func (c *converter) eitherOf(a, b state, at string) state {
	if a == nil {
		return b
	}
	out := maps.Clone(a)
	for _, name := range slices.Sorted(maps.Keys(b)) {
		t, known := traitByName[name]
		if !known || t.patch == nil {
			out[name] = b[name]
			continue
		}
		_, mapA := a.current(t).(Object)
		_, mapB := b.current(t).(Object)
		if mapA != mapB {
			c.find(Warning, at, name+" is a list after one choice and a map after another, so KubeSpawner merges or replaces what later options say by the choice made",
				"the policy merges it: write the same form in every choice")
		}
		if mapB {
			out[name] = b[name]
		}
	}
	return out
}

func (c *converter) text(o Object, key, at string) (string, bool) {
	v, has := o.Get(key)
	if !has || v == nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case int64, float64, bool:
		return strings.Trim(evidentText(v), `"`), true
	}
	c.wrongType(Child(at, key), "text", v)
	return "", false
}

// truthy as in Python.
func (c *converter) truthy(o Object, key string) bool {
	v, _ := o.Get(key)
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	}
	return !empty(v)
}

// allowed reads the groups and users that some hubs' own code reads; KubeSpawner doesn't.
func (c *converter) allowed(o Object, at string) (groups, users []string) {
	for _, key := range []string{"allowed_groups", "allowed_users"} {
		v, has := o.Get(key)
		if !has {
			continue
		}
		here := Child(at, key)
		if !c.opts.AllowedGroups {
			c.find(Unmapped, here, "KubeSpawner ignores it; only a hub's own code, if any, acts on it",
				"to have the cluster enforce it, import with --allowed-groups, or write allowedGroups or allowedUsers in the policy")
			continue
		}
		list, ok := v.([]any)
		if !ok {
			c.wrongType(here, "a list of names", v)
			continue
		}
		for i, item := range list {
			s, ok := item.(string)
			if !ok {
				c.wrongType(Index(here, i), "a name", item)
				continue
			}
			if key == "allowed_groups" {
				groups = append(groups, s)
			} else {
				users = append(users, s)
			}
		}
	}
	return groups, users
}

func (c *converter) ignored(o Object, at, why string, known ...string) {
	for _, m := range o {
		if !slices.Contains(known, m.Key) {
			c.find(Warning, Child(at, m.Key), why, "it is left out")
		}
	}
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
