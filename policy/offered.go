package policy

import "cmp"

// Offered are the profiles that this user may choose from, in their order; none where policy leaves nothing to choose. Profile and
// options of the identity don't count. Denials say why the user can't have a server at all.
func (c *Compiled) Offered(in Input) ([]Offered, []Denial) {
	s := c.selectPolicies(&in)
	if denials := append(refusals(s.policies, &in, s.asserted), s.failed...); len(denials) > 0 {
		return nil, denials
	}
	all, denials := allProfiles(s.policies)
	if len(all) == 0 || len(denials) > 0 {
		return nil, denials
	}
	id := Identity{User: in.Identity.User}
	standard, denial := chooseProfile(all, &id, s.groups)
	if denial != nil {
		return nil, []Denial{*denial}
	}
	may := func(users, inGroups []string) bool { return permits(users, inGroups, id.User, s.groups) }
	var offered []Offered
	for _, p := range all {
		if may(p.spec.AllowedUsers, p.spec.AllowedGroups) {
			offered = append(offered, p.offered(p == standard, may))
		}
	}
	return offered, nil
}

// AllProfiles are the profiles of all policies with everything that may be chosen in them, whoever may: what an editor or a shell
// offers that doesn't know the user. Default are those that say so.
func (c *Compiled) AllProfiles() []Offered {
	var offered []Offered
	for _, policy := range c.all() {
		for _, p := range policy.profiles {
			offered = append(offered, p.offered(p.spec.Default, func(_, _ []string) bool { return true }))
		}
	}
	return offered
}

func (c *compiledProfile) offered(standard bool, may func(users, groups []string) bool) Offered {
	o := Offered{Slug: c.spec.Slug, DisplayName: cmp.Or(c.spec.DisplayName, c.spec.Slug), Description: c.spec.Description, Default: standard}
	for _, option := range c.options {
		o.Options = append(o.Options, option.offered(may))
	}
	return o
}

// offered leaves out what may not be chosen. An option of which nothing is left stays: the profile can't be had without an answer,
// and the denial says so.
func (o *compiledOption) offered(may func(users, groups []string) bool) OfferedOption {
	offer := OfferedOption{Name: o.name, DisplayName: cmp.Or(o.displayName, o.name)}
	standard := -1
	for _, c := range o.choices {
		if !may(c.spec.AllowedUsers, c.spec.AllowedGroups) {
			continue
		}
		if standard < 0 || c.spec.Default && !offer.Choices[standard].Default {
			standard = len(offer.Choices)
		}
		offer.Choices = append(offer.Choices, OfferedChoice{
			Name: c.spec.Name, DisplayName: cmp.Or(c.spec.DisplayName, c.spec.Name), Default: c.spec.Default,
		})
	}
	for i := range offer.Choices {
		offer.Choices[i].Default = i == standard
	}
	if u := o.unlisted; u != nil && may(u.spec.AllowedUsers, u.spec.AllowedGroups) {
		offer.Unlisted = &OfferedUnlisted{
			DisplayName: u.spec.DisplayName, DisplayNameInChoices: u.spec.DisplayNameInChoices,
			ValidationRegex: u.spec.ValidationRegex, ValidationMessage: u.spec.ValidationMessage,
		}
	}
	return offer
}

// Offered is a profile that a user may choose, without what it sets: that is nobody's business but policy's.
type Offered struct {
	Slug        string `json:"slug"`
	DisplayName string `json:"displayName"`
	Description string `json:"description,omitempty"`
	// Default: it is taken where the user chooses none. One of them is it.
	Default bool `json:"default,omitempty"`
	// Options are its questions, in their order.
	Options []OfferedOption `json:"options,omitempty"`
}

// OfferedOption is a question of a profile.
type OfferedOption struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	// Choices that this user has, in their order.
	Choices []OfferedChoice `json:"choices,omitempty"`
	// Unlisted says how the user may type a value of his own; nil: he may not.
	Unlisted *OfferedUnlisted `json:"unlistedChoice,omitempty"`
}

// OfferedChoice is an answer.
type OfferedChoice struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	Default     bool   `json:"default,omitempty"`
}

// OfferedUnlisted is an answer that the user types.
type OfferedUnlisted struct {
	DisplayName          string `json:"displayName,omitempty"`
	DisplayNameInChoices string `json:"displayNameInChoices,omitempty"`
	// ValidationRegex that the whole value must match (RE2 syntax); empty: any value.
	ValidationRegex   string `json:"validationRegex,omitempty"`
	ValidationMessage string `json:"validationMessage,omitempty"`
}
