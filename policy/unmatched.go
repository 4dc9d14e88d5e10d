package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Unmatched is a policy that isn't for a server, with the field that says so.
type Unmatched struct {
	Policy PolicyRef `json:"policy"`
	Path   string    `json:"path"`
	// Message goes on where policy and path have been named.
	Message string `json:"message"`
}

// Unmatched are the policies that aren't for a server, audited ones too, but for those of other namespaces.
func (c *Compiled) Unmatched(in Input) []Unmatched {
	if c.whole != nil {
		c = c.whole
	}
	asked := in // what is said of the namespace is what was given
	s := c.selectPolicies(&asked)
	var all []Unmatched
	for _, p := range c.policies {
		if slices.Contains(s.policies, p) || !p.cluster && p.ref.Namespace != in.Namespace.Name {
			continue
		}
		path := c.elsewhere(p, &in)
		if path == "" {
			path = s.turnedDown(p)
		}
		all = append(all, Unmatched{p.ref, path, c.whyElsewhere(p, &in, s.groups, path)})
	}
	return all
}

// turnedDown is the field by which a policy isn't for a server that is in its place, and its user's.
func (s *selected) turnedDown(p *compiledPolicy) string {
	if len(p.spec.Groups) > 0 && !intersects(p.spec.Groups, s.groups) {
		return "spec.groups"
	}
	for i := range p.conditions {
		met, err := p.conditions[i].program.Bool(&s.run.variables, nil, &s.run.budget)
		if err == nil && !met {
			return p.conditions[i].path.String()
		}
	}
	return "spec.matchConditions"
}

func (c *Compiled) whyElsewhere(p *compiledPolicy, in *Input, groups []string, path string) string {
	list := func(names []string) string { return strings.Join(names, ", ") }
	switch path {
	case "spec.namespaceSelector":
		if p.selector == nil {
			return fmt.Sprintf("namespace %s is never governed: no pod there is a user's", in.Namespace.Name)
		}
		have := labels.FormatLabels(in.Namespace.Labels)
		if len(in.Namespace.Labels) == 0 {
			have = "no label"
		}
		return fmt.Sprintf("selects %s, and namespace %s has %s", p.selector, in.Namespace.Name, have)
	case "spec.hubs":
		return fmt.Sprintf("has %s, and the hub is %q", list(p.spec.Hubs), in.Identity.Hub)
	case "spec.users":
		return fmt.Sprintf("has %s, and the user is %q", list(p.spec.Users), in.Identity.User)
	case "spec.groups":
		if len(groups) == 0 {
			return fmt.Sprintf("has %s, and the user is in no group", list(p.spec.Groups))
		}
		return fmt.Sprintf("has %s, and the user is in %s", list(p.spec.Groups), list(groups))
	}
	return "is false"
}
