package main

import (
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy"
)

// The outcomes of a comparison, worst first.
const (
	diffDenied   = "denied"
	diffChanged  = "changed"
	diffAdmitted = "admitted" // was denied, and isn't any more
)

// diffReport is what is different about whom; programs read it as JSON.
type diffReport struct {
	Servers   int `json:"servers"`
	Unchanged int `json:"unchanged"`
	Changed   int `json:"changed"`
	Denied    int `json:"denied"`
	Admitted  int `json:"admitted"`
	// Groups of servers of which the same is to be said: the denied ones first, then by size.
	Groups []*diffGroup `json:"groups"`

	proposed bool // the policies aren't those of now
	byKey    map[string]*diffGroup
}

type diffGroup struct {
	Outcome string            `json:"outcome"`
	Servers []string          `json:"servers"`
	Changes []diffChange      `json:"changes,omitempty"`
	Denials []explainedDenial `json:"denials,omitempty"`

	first *diffServer
}

// diffChange is one difference. Of what belongs to the server itself, as its user's name, a placeholder stands in the values.
type diffChange struct {
	Path   string        `json:"path"`
	Change policy.Change `json:"change"`
	Before string        `json:"before,omitempty"`
	After  string        `json:"after,omitempty"`
	// Private: the values are left out.
	Private bool `json:"private,omitempty"`
	// By is who sets the value after; nil for what nobody does.
	By *policy.Origin `json:"by,omitempty"`
}

// compared is what came of one server.
type compared struct {
	server  *diffServer
	outcome string // "" for no difference
	changes []diffChange
	denials []policy.Denial
}

// compareServer holds what after makes of a server against what before makes of it; without before, against its pod.
func compareServer(s *diffServer, before, after *policySource) (*compared, error) {
	is, err := after.apply(s, false)
	if err != nil {
		return nil, err
	}
	c := &compared{server: s}
	var was *policy.Result
	if before != nil {
		if was, err = before.apply(s, false); err != nil {
			return nil, err
		}
	}
	switch wasDenied := was != nil && len(was.Denials) > 0; {
	case len(is.Denials) > 0 && !wasDenied:
		c.outcome, c.denials = diffDenied, is.Denials
	case wasDenied && len(is.Denials) == 0:
		c.outcome, c.denials = diffAdmitted, was.Denials
	case wasDenied: // and is
	case was != nil:
		c.changes = changesBetween(s, policy.Changes(&s.input, was, is), leavesOf(was), leavesOf(is))
	case !is.Untouched:
		c.changes = changesBetween(s, policy.Drift(s.live, is), policy.PodLeaves(s.live), leavesOf(is))
	}
	if len(c.changes) > 0 {
		c.outcome = diffChanged
	}
	return c, nil
}

func leavesOf(r *policy.Result) []policy.Leaf {
	leaves := append(policy.PodLeaves(r.Pod), policy.ClaimLeaves("claim", r.Claim)...)
	for _, c := range r.MoreClaims {
		leaves = append(leaves, policy.ClaimLeaves("claims["+c.Labels[policy.LabelClaim]+"]", c)...)
	}
	return leaves
}

func changesBetween(s *diffServer, differences []policy.Difference, before, after []policy.Leaf) []diffChange {
	changes := make([]diffChange, 0, len(differences))
	for _, d := range differences {
		was, is := policy.LeavesBelow(before, d.Path), policy.LeavesBelow(after, d.Path)
		private := func(l policy.Leaf) bool { return l.Private }
		c := diffChange{Path: s.general(d.Path), Change: d.Change, Private: slices.ContainsFunc(was, private) || slices.ContainsFunc(is, private)}
		if !c.Private {
			c.Before, c.After = s.general(valueOf(was, d.Path)), s.general(valueOf(is, d.Path))
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b diffChange) int { return strings.Compare(a.Path, b.Path) })
	return changes
}

// valueOf writes what stands at a path; of a structure, each value after its field.
func valueOf(leaves []policy.Leaf, path string) string {
	if len(leaves) == 1 && leaves[0].Path == path {
		return leaves[0].Value
	}
	parts := make([]string, 0, len(leaves))
	for i := range leaves {
		parts = append(parts, strings.TrimPrefix(strings.TrimPrefix(leaves[i].Path, path), ".")+"="+leaves[i].Value)
	}
	return strings.Join(parts, ", ")
}

// general puts placeholders in the place of what is the server's own, so that the same change reads the same for all.
func (s *diffServer) general(text string) string {
	id := &s.input.Identity
	names := [][2]string{{id.EnvSecret, "{env_secret}"}, {id.Name, "{pod_name}"}}
	if id.Server != "" {
		names = append(names, [2]string{policy.SafeUserServer(id.User, id.Server), "{user_server}"})
	}
	for _, own := range append(names, [2]string{policy.SafeSlug(id.User), "{username}"}, [2]string{id.User, "{unescaped_username}"}) {
		text = replaceWord(text, own[0], own[1])
	}
	return text
}

// replaceWord replaces a word where it isn't a part of a longer one.
func replaceWord(text, word, by string) string {
	if word == "" {
		return text
	}
	var b strings.Builder
	for rest := text; ; {
		at := strings.Index(rest, word)
		if at < 0 {
			b.WriteString(rest)
			return b.String()
		}
		end := at + len(word)
		isWord := (at == 0 || !isLetter(rest[at-1])) && (end == len(rest) || !isLetter(rest[end]))
		b.WriteString(rest[:at])
		if isWord {
			b.WriteString(by)
		} else {
			b.WriteString(word)
		}
		rest = rest[end:]
	}
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '{' || b == '}'
}

// add puts a server into the group of which the same is to be said.
func (r *diffReport) add(c *compared) {
	switch c.outcome {
	case "":
		r.Unchanged++
		return
	case diffDenied:
		r.Denied++
	case diffChanged:
		r.Changed++
	case diffAdmitted:
		r.Admitted++
	}
	denials := explainDenials(c.denials)
	for i := range denials {
		denials[i].Message = c.server.general(denials[i].Message)
	}
	key := c.outcome + asCompactJSON(c.changes) + asCompactJSON(denials)
	g := r.byKey[key]
	if g == nil {
		g = &diffGroup{Outcome: c.outcome, Changes: c.changes, Denials: denials, first: c.server}
		if r.byKey == nil {
			r.byKey = map[string]*diffGroup{}
		}
		r.byKey[key] = g
		r.Groups = append(r.Groups, g)
	}
	g.Servers = append(g.Servers, c.server.name())
}

// blame sorts the groups, and says of each change whose it is.
func (r *diffReport) blame(after *policySource) error {
	order := []string{diffDenied, diffChanged, diffAdmitted}
	slices.SortStableFunc(r.Groups, func(a, b *diffGroup) int {
		if a.Outcome != b.Outcome {
			return slices.Index(order, a.Outcome) - slices.Index(order, b.Outcome)
		}
		return len(b.Servers) - len(a.Servers)
	})
	for _, g := range r.Groups {
		if g.Outcome != diffChanged {
			continue
		}
		result, err := after.apply(g.first, true)
		if err != nil {
			return err
		}
		for i := range g.Changes {
			g.Changes[i].By = originAt(g.first, result.Fields, g.Changes[i].Path)
		}
	}
	return nil
}

// originAt is who set what lies at a path, where that is one.
func originAt(s *diffServer, fields []policy.Field, path string) *policy.Origin {
	var by *policy.Origin
	for i := range fields {
		if !policy.IsBelow(s.general(fields[i].Path), path) {
			continue
		}
		o := fields[i].By
		o.Overrode = nil
		if by != nil && (by.Layer != o.Layer || asCompactJSON(by.Policy) != asCompactJSON(o.Policy)) {
			return nil
		}
		if by == nil {
			by = &o
		}
	}
	return by
}
