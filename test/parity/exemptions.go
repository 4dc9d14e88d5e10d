package parity

import (
	"slices"
	"strings"
)

// Kind says what is wrong with something that KubeSpawner does.
type Kind string

// The kinds of exemptions.
const (
	// SecurityHole lets one user, or anybody, reach what isn't theirs.
	SecurityHole Kind = "security hole"
	// InvalidPod is refused by every API server.
	InvalidPod Kind = "invalid pod"
	// Accident can't have been meant, or can't be said in a policy.
	Accident Kind = "accident"
)

// Exemption is something in which KubeSpawner is deliberately not followed. policy/REFERENCE.md lists them for users.
type Exemption struct {
	// Name is what a case is marked with.
	Name string
	Kind Kind
	// Upstream is what KubeSpawner does, and Instead what we do.
	Upstream, Instead string
	// Fields are what a difference may begin with.
	Fields []string
	// Line says of a difference that it is meant. Neither Fields nor Line: we refuse.
	Line func(line string) bool
	// Concerns says of a case that isn't marked that it may differ so. nil: marked cases alone may.
	Concerns func(c Case) bool
}

func (e *Exemption) isRefusal() bool { return len(e.Fields) == 0 && e.Line == nil }

func (e *Exemption) explains(line string) bool {
	return e.Line != nil && e.Line(line) || beginsWithAny(line, e.Fields)
}

func beginsWithAny(line string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
}

// Exemptions is the whole list. A case that is marked with one has to differ, and in just that way.
func Exemptions() []Exemption {
	return slices.Concat(securityHoles(), invalidPods(), accidents())
}

// AfterConcerns takes away the differences that exemptions explain which concern every case like this one.
func AfterConcerns(c Case, lines []string) []string {
	for _, e := range Exemptions() {
		if e.Concerns != nil && e.Concerns(c) {
			lines = slices.DeleteFunc(lines, e.explains)
		}
	}
	return lines
}

func securityHoles() []Exemption {
	const identity = "hub.jupyter.org/"
	return []Exemption{
		{
			Name: "identity-not-overridden", Kind: SecurityHole, Upstream: "extra labels and annotations overwrite whose server it is",
			Instead: "identity always wins",
			Fields: []string{
				"metadata.labels[" + identity, "metadata.annotations[" + identity,
				"claim metadata.labels[" + identity, "claim metadata.annotations[" + identity,
			},
		},
		{
			Name: "free-text-unchecked", Kind: SecurityHole,
			Upstream: "without a profile in the request, free text is neither checked nor has to be allowed", Instead: refused,
		},
		{
			Name: "free-text-expanded", Kind: SecurityHole, Upstream: "what a user typed is expanded as a template", Instead: "it is text",
			Fields: []string{"spec.containers[notebook].env[TYPED]", "spec.containers[notebook].env[BOTH]", "metadata.labels[k", "want a refusal, since KubeSpawner raises KeyError"},
		},
		{
			Name: "own-dashes", Kind: SecurityHole,
			Upstream: "`{unescaped_username}` and `{unescaped_servername}` at the end of a template lose the dashes at their end, so that user `bob-` gets the folder of `bob`",
			Instead:  "a name's own dashes stay; an object's name that ends in one is refused",
			Line:     ownDashesStay,
			Concerns: func(c Case) bool { return strings.HasSuffix(c.User, "-") || strings.HasSuffix(c.Server, "-") },
		},
	}
}

// ownDashesStay: ours is the same text with dashes at its end.
func ownDashesStay(line string) bool {
	_, values, _ := strings.Cut(line, ": want ")
	want, got, _ := strings.Cut(values, ", got ")
	dashes, longer := strings.CutPrefix(strings.TrimSuffix(got, `"`), strings.TrimSuffix(want, `"`))
	return longer && strings.HasPrefix(want, `"`) && strings.Trim(dashes, "-") == "" ||
		strings.HasPrefix(line, "want a pod, got a refusal: NameMismatch: ")
}

const (
	refused = "refused"
	invalid = "makes a pod that the API server refuses: "
)

func invalidPods() []Exemption {
	return []Exemption{
		{Name: "negative-resources", Kind: InvalidPod, Upstream: invalid + "a negative size", Instead: refused},
		{Name: "negative-ids", Kind: InvalidPod, Upstream: invalid + "a negative id", Instead: refused},
		{Name: "id-too-large", Kind: InvalidPod, Upstream: invalid + "an id above 2147483647", Instead: refused},
		{Name: "invalid-env", Kind: InvalidPod, Upstream: invalid + "a variable with both value and valueFrom", Instead: refused},
		{Name: "invalid-port", Kind: InvalidPod, Upstream: invalid + "a port above 65535", Instead: refused},
		{Name: "invalid-enum", Kind: InvalidPod, Upstream: invalid + "a word that Kubernetes doesn't know", Instead: refused},
		{
			Name: "null-quantity", Kind: InvalidPod, Upstream: "null for a resource, which the API server reads as 0", Instead: "left out",
			Fields: []string{"spec.containers[notebook].resources"},
		},
		{Name: "no-image", Kind: InvalidPod, Upstream: invalid + "no image", Instead: refused},
		{
			Name: "label-letters", Kind: InvalidPod,
			Upstream: invalid + "a user's or server's name with \u017f, \u212a, \u0130 or \u0131 in it, as a label",
			Instead:  "the label is a slug with a hash, as for every other letter outside ASCII",
			Fields:   []string{"metadata.labels[hub.jupyter.org/", "claim metadata.labels[hub.jupyter.org/"},
			Concerns: func(c Case) bool { return strings.ContainsAny(c.User+c.Server, "\u017f\u212a\u0130\u0131") },
		},
		{
			Name: "computed-by-cluster", Kind: InvalidPod,
			Upstream: invalid + "priority, preemptionPolicy or overhead in extra_pod_config, unless it is what the cluster computes", Instead: refused,
		},
		{Name: "same-name", Kind: InvalidPod, Upstream: invalid + "two volumes or containers of one name, or two mounts of one path", Instead: refused},
		{Name: "notebook-container", Kind: InvalidPod, Upstream: "loses track of a server without a container called notebook", Instead: refused},
		{
			Name: "claim-without-capacity", Kind: InvalidPod, Upstream: "null for the claim's capacity, which the API server refuses",
			Instead: "left out, which it refuses too", Fields: []string{"claim spec.resources.requests"},
		},
	}
}

func accidents() []Exemption {
	return []Exemption{
		{
			Name: "format-language", Kind: Accident, Upstream: "templates are Python's format strings, with widths, indexes and attributes",
			Instead: "refused: a placeholder is a name",
		},
		{
			Name: "two-spellings", Kind: Accident,
			Upstream: "a field that layers spell in two ways, `value_from` and `valueFrom`, has the value of the spelling that came second, though a stronger layer says the first one again",
			Instead:  "the strongest layer's value",
			Fields:   []string{"spec.containers[notebook].env[SOURCE]"},
		},
		{
			Name: "empty-selector", Kind: Accident, Upstream: "a selector without any known field", Instead: "left out",
			Fields: []string{"claim spec.selector"},
		},
		{Name: "name-refers-to-itself", Kind: Accident, Upstream: "a name that is made before the one it refers to holds the words \"unavailable!\"", Instead: refused},
		{
			Name: "group-overrides", Kind: Accident, Upstream: "settings by group", Instead: "not imported: a policy selects by groups",
			Fields: []string{"spec.containers[notebook]"},
		},
	}
}

// HubExemption is what a hub of the configs folder sets in Python of its own (hub.extraConfig), which its values file
// doesn't hold any more, or what the recording couldn't know.
type HubExemption struct {
	// Hub is empty for what concerns every hub.
	Hub    string
	Fields []string
	Why    string
}

// HubExemptions is the whole list; it concerns the import of values alone.
func HubExemptions() []HubExemption {
	const app, name = `metadata.labels[app]: want "", got "jupyterhub"`, `metadata.labels[app.kubernetes.io/name]: want "", got "jupyterhub"`
	return []HubExemption{
		{"", []string{app, name, "claim " + app, "claim " + name}, "recorded without Helm, where the chart has no name: null stands there"},
		{"mybinder", []string{"spec.restartPolicy"}, "extraConfig neverRestart sets extra_pod_config"},
		{
			"utoronto-hub",
			[]string{"spec.containers[notebook].workingDir", "spec.containers[notebook].securityContext.runAsUser"},
			"extraConfig 01-working-dir and 03-no-setuid set working_dir and extra_container_config",
		},
	}
}
