package policy

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
