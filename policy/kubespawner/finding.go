package kubespawner

import "strings"

// Kind is how much a finding matters.
type Kind string

// The kinds of finding, the weightiest first.
const (
	// Unmapped: the source says something that the policy doesn't.
	Unmapped Kind = "unmapped"
	// Warning: the policy says what the source says, and that is probably not what was meant.
	Warning Kind = "warning"
	// Note: nothing is lost, but whoever moves over should know it.
	Note Kind = "note"
)

// Finding is something that the reader of an imported policy has to know. Nothing is dropped without one.
type Finding struct {
	Kind Kind
	// Path of the setting in the source.
	Path string
	// Source is where that is, as FILE:LINE; may be empty.
	Source string
	// Why it isn't in the policy, or isn't what it seems.
	Why string
	// Do is what to do about it; may be empty.
	Do string
	// Draft is a piece of policy to begin with, YAML; may be empty.
	Draft string
}

// String is the finding in one line, and its draft, indented, on lines of its own.
func (f Finding) String() string {
	s := string(f.Kind) + ": "
	if f.Source != "" {
		s += f.Source + ": "
	}
	s += f.Path + ": " + f.Why
	if f.Do != "" {
		s += "; " + f.Do
	}
	if f.Draft != "" {
		s += "\n    " + strings.ReplaceAll(strings.TrimRight(f.Draft, "\n"), "\n", "\n    ")
	}
	return s
}

func (c *converter) find(kind Kind, at, why, do string) {
	c.add(Finding{Kind: kind, Path: at, Why: why, Do: do})
}

func (c *converter) add(f Finding) {
	if key := f.String(); !c.said[key] {
		c.said[key] = true
		c.findings = append(c.findings, f)
	}
}
