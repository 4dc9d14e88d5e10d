package parity

// Exemption is something in which KubeSpawner is deliberately not followed: a security hole, or what no API server
// would take.
type Exemption struct {
	// Name is what a case is marked with.
	Name string
	// Upstream is what KubeSpawner does, and Instead what we do.
	Upstream, Instead string
	// Fields are what a difference may begin with. None: we refuse.
	Fields []string
}

// Exemptions is the whole list. A case that is marked with one has to differ, and in just that way.
func Exemptions() []Exemption {
	const (
		identity = "hub.jupyter.org/"
		refused  = "refused"
		invalid  = "makes a pod that the API server refuses"
	)
	return []Exemption{
		// Security.
		{
			Name: "identity-not-overridden", Upstream: "extra labels and annotations overwrite whose server it is",
			Instead: "identity always wins",
			Fields: []string{
				"metadata.labels[" + identity, "metadata.annotations[" + identity,
				"claim metadata.labels[" + identity, "claim metadata.annotations[" + identity,
			},
		},
		{Name: "free-text-unchecked", Upstream: "without a profile in the request, free text is neither checked nor has to be allowed", Instead: refused},
		{
			Name: "free-text-expanded", Upstream: "what a user typed is expanded as a template", Instead: "it is text",
			Fields: []string{"spec.containers[notebook].env[TYPED]", "spec.containers[notebook].env[BOTH]", "metadata.labels[k", "want a refusal, since KubeSpawner raises KeyError"},
		},

		// What the API server refuses.
		{Name: "negative-resources", Upstream: invalid + ": a negative size", Instead: refused},
		{Name: "negative-ids", Upstream: invalid + ": a negative id", Instead: refused},
		{Name: "id-too-large", Upstream: invalid + ": an id above 2147483647", Instead: refused},
		{Name: "invalid-env", Upstream: invalid + ": a variable with both value and valueFrom", Instead: refused},
		{Name: "invalid-port", Upstream: invalid + ": a port above 65535", Instead: refused},
		{Name: "invalid-enum", Upstream: invalid + ": a word that Kubernetes doesn't know", Instead: refused},
		{
			Name: "null-quantity", Upstream: "null for a resource, which the API server reads as 0", Instead: "left out",
			Fields: []string{"spec.containers[notebook].resources"},
		},
		{Name: "no-image", Upstream: invalid + ": no image", Instead: refused},
		{Name: "notebook-container", Upstream: "loses track of a server without a container called notebook", Instead: refused},
		{
			Name: "claim-without-capacity", Upstream: "null for the claim's capacity, which the API server refuses",
			Instead: "left out, which it refuses too", Fields: []string{"claim spec.resources.requests"},
		},

		// What can't have been meant.
		{Name: "format-language", Upstream: "templates are Python's format strings, with widths, indexes and attributes", Instead: "refused: a placeholder is a name"},
		{
			Name: "empty-selector", Upstream: "a selector without any known field", Instead: "left out",
			Fields: []string{"claim spec.selector"},
		},
		{Name: "name-refers-to-itself", Upstream: "a name that is made before the one it refers to holds the words \"unavailable!\"", Instead: refused},
		{
			Name: "group-overrides", Upstream: "settings by group", Instead: "not imported: a policy selects by groups",
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
