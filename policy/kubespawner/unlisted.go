package kubespawner

import "encoding/json"

// unlisted reads the answer that a user types; nil where it isn't offered.
func (c *converter) unlisted(o Object, at, policyAt string, before state) (Object, state) {
	v, has := o.Get("unlisted_choice")
	if !has {
		return nil, before
	}
	u, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map", v)
		return nil, before
	}
	c.ignored(u, at, "KubeSpawner has no such key in an unlisted_choice and ignores it", "enabled", "display_name", "display_name_in_choices",
		"validation_regex", "validation_message", "kubespawner_override", "allowed_groups", "allowed_users")
	if !c.truthy(u, "enabled") {
		return nil, before
	}
	out, ok := c.unlistedTexts(u, at, policyAt)
	if !ok {
		return nil, before
	}
	override, has := u.Get("kubespawner_override")
	if !has {
		return out, before
	}
	c.typed = true
	defer func() { c.typed = false }()
	b, after := c.overrides(override, Child(at, "kubespawner_override"), policyAt+".settings", before, nil)
	data, err := c.blockJSON(b)
	if err != nil {
		c.refusef(at, "%s", err)
		return nil, before
	}
	if data != nil {
		out = out.With("settings", json.RawMessage(data))
	}
	return out, after
}

// unlistedTexts reads everything but the settings. Without the regular expression there must be no unlisted choice.
func (c *converter) unlistedTexts(u Object, at, policyAt string) (Object, bool) {
	out := Object{}
	for _, key := range []struct{ from, to string }{
		{"display_name", "displayName"}, {"display_name_in_choices", "displayNameInChoices"},
		{"validation_regex", "validationRegex"}, {"validation_message", "validationMessage"},
	} {
		s, ok := c.text(u, key.from, at)
		if !ok || s == "" {
			continue
		}
		if key.from == "validation_regex" {
			re, ok := c.wholeMatch(s, Child(at, key.from))
			if !ok {
				return nil, false
			}
			if re != s {
				c.comments[policyAt+"."+key.to] = "KubeSpawner binds only the beginning: " + s
			}
			s = re
		}
		out = out.With(key.to, s)
	}
	groups, users := c.allowed(u, at)
	if len(groups) > 0 {
		out = out.With("allowedGroups", texts(groups))
	}
	if len(users) > 0 {
		out = out.With("allowedUsers", texts(users))
	}
	return out, true
}
