package policy

import (
	"slices"
	"strings"
)

// selected are the policies that are for a server.
type selected struct {
	// policies in the order of Compiled.policies.
	policies []*compiledPolicy
	// groups that the user is in, and those of them that rest on the hub's word: none where a policy has a groupMap.
	groups, asserted []string
	// failed are match conditions without a value. Their policies are among those that match.
	failed []Denial
	// run is what expressions share; nil where none was needed.
	run *evaluation
}

func (c *Compiled) selectPolicies(in *Input) selected {
	in.Namespace.Labels = in.Namespace.labelled() // once, and not for each policy
	var candidates []*compiledPolicy
	for _, p := range c.policies {
		if c.concerns(p, in) {
			candidates = append(candidates, p)
		}
	}
	var s selected
	var mapped bool
	if s.groups, mapped = groupsOf(candidates, in); !mapped {
		s.asserted = s.groups
	}
	s.policies = slices.DeleteFunc(candidates, func(p *compiledPolicy) bool {
		return len(p.spec.Groups) > 0 && !intersects(p.spec.Groups, s.groups) || len(p.conditions) > 0 && !s.meets(p, in)
	})
	return s
}

// meets says whether all conditions of a policy are true. One without a value is as good as true, and denies.
func (s *selected) meets(p *compiledPolicy, in *Input) bool {
	if s.run == nil {
		s.run = newEvaluation(in, s.groups)
	}
	var failed []Denial
	for i := range p.conditions {
		c := &p.conditions[i]
		switch met, err := c.program.Bool(&s.run.variables, nil, &s.run.budget); {
		case err != nil:
			failed = append(failed, denyf(ExpressionFailed, &p.ref, c.path.String(), "%v", err))
		case !met:
			return false // as for admission webhooks, whatever others say
		}
	}
	s.failed = append(s.failed, failed...)
	return true
}

// concerns decides all of a policy's selection but its groups and conditions.
func (c *Compiled) concerns(p *compiledPolicy, in *Input) bool { return c.elsewhere(p, in) == "" }

// elsewhere is the field by which a policy isn't for a server, of all of its selection but groups and conditions; "" for none.
func (c *Compiled) elsewhere(p *compiledPolicy, in *Input) string {
	if !c.reaches(p, in.Namespace) {
		if p.cluster {
			return "spec.namespaceSelector"
		}
		return fieldNamespace
	}
	if len(p.spec.Hubs) > 0 && !slices.Contains(p.spec.Hubs, in.Identity.Hub) {
		return "spec.hubs"
	}
	if len(p.spec.Users) > 0 && !matchesAny(p.spec.Users, in.Identity.User) {
		return "spec.users"
	}
	return ""
}

// groupsOf are the user's groups, sorted, and whether the cluster itself says so.
func groupsOf(policies []*compiledPolicy, in *Input) (groups []string, mapped bool) {
	for _, p := range policies {
		if p.spec.GroupMap == nil {
			continue
		}
		mapped = true
		for group, users := range p.spec.GroupMap {
			if slices.Contains(users, in.Identity.User) {
				groups = append(groups, group)
			}
		}
	}
	if !mapped {
		groups = slices.Clone(in.Identity.Groups)
	}
	slices.Sort(groups)
	return slices.Compact(groups), mapped
}

func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// matchesAny says whether one of the patterns is all of s.
func matchesAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, s) })
}

// matches compares s with a pattern in which * stands for any characters, none included. Nothing else is special.
func matches(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !strings.HasPrefix(s, head) {
		return false
	}
	if !wild {
		return s == head
	}
	s = s[len(head):]
	pieces := strings.Split(rest, "*")
	for _, piece := range pieces[:len(pieces)-1] {
		at := strings.Index(s, piece)
		if at < 0 {
			return false
		}
		s = s[at+len(piece):]
	}
	return strings.HasSuffix(s, pieces[len(pieces)-1])
}
