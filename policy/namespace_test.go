package policy

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// launching is what every policy here needs: somebody who launches, wherever that is.
const launching = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: launching}
spec: {launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]}
`

// own is a policy for the namespaces of users, which it selects by a label that it gives them.
var own = clusterwide("own", `{namespaceSelector: {matchLabels: {kind: user}},
  defaults: {enableUserNamespaces: true, userNamespaceLabels: {kind: user, owner: "{username}"}, userNamespaceAnnotations: {who: "{unescaped_username}"}}}`)

// asked is the input for a user of whom no namespace is known.
func asked(user string, groups ...string) Input {
	return Input{Identity: Identity{Hub: "main", User: user, Groups: groups}, Caller: testCaller}
}

func TestWhereAServerBelongs(t *testing.T) {
	const team = `{expressions: {namespace: "groups.exists(g, g.startsWith('team-')) ? optional.of(groups.filter(g, g.startsWith('team-'))[0]) : optional.none()"}}`
	for name, c := range map[string]struct {
		policies string
		in       Input
		want     UserNamespace
	}{
		"nobody says":       {launching, asked("alice"), UserNamespace{}},
		"a namespace alone": {launching + namespaced("n", "{defaults: {enableUserNamespaces: true}}"), asked("alice"), UserNamespace{}},
		"the user's own": {launching + own, asked("Alice@example.org"), UserNamespace{
			Name:        "jupyter-" + SafeSlug("Alice@example.org"),
			Labels:      map[string]string{"kind": "user", "owner": SafeSlug("Alice@example.org"), LabelHub: "main"},
			Annotations: map[string]string{"who": "Alice@example.org"}, Create: true,
		}},
		"without labels": {launching + clusterwide("own", "{enforced: {enableUserNamespaces: true, userNamespaceTemplate: 'u-{username}'}}"), asked("bob"), UserNamespace{
			Name: "u-bob", Labels: map[string]string{LabelHub: "main"}, Annotations: map[string]string{}, Create: true,
		}},
		"by the hub's label": {launching + clusterwide("own", "{namespaceSelector: {matchExpressions: [{key: slipway.dev/hub, operator: Exists}]}, defaults: {enableUserNamespaces: true}}"),
			asked("bob"), UserNamespace{Name: "jupyter-bob", Labels: map[string]string{LabelHub: "main"}, Annotations: map[string]string{}, Create: true}},
		"labels that another policy adds": {launching + own + clusterwide("z", "{namespaceSelector: {matchLabels: {kind: user}}, enforced: {userNamespaceLabels: {tier: research}}}"),
			asked("bob"), UserNamespace{
				Name: "jupyter-bob", Labels: map[string]string{"kind": "user", "owner": "bob", "tier": "research", LabelHub: "main"},
				Annotations: map[string]string{"who": "bob"}, Create: true,
			}},
		"another hub's":       {launching + clusterwide("own", "{hubs: [other], defaults: {enableUserNamespaces: true}}"), asked("bob"), UserNamespace{}},
		"other users'":        {launching + clusterwide("own", "{users: ['guest-*'], defaults: {enableUserNamespaces: true}}"), asked("bob"), UserNamespace{}},
		"switched off":        {launching + own + clusterwide("off", "{namespaceSelector: {matchLabels: {kind: user}}, enforced: {enableUserNamespaces: false}}"), asked("bob"), UserNamespace{}},
		"a team's":            {launching + clusterwide("team", team), asked("bob", "staff", "team-a"), UserNamespace{Name: "team-a"}},
		"no team's":           {launching + clusterwide("team", team), asked("bob", "staff"), UserNamespace{}},
		"a team's before own": {launching + own + clusterwide("team", team), asked("bob", "team-a"), UserNamespace{Name: "team-a"}},
		"a named one":         {launching + clusterwide("named", "{defaults: {namespace: 'course-{username}'}}"), asked("bob"), UserNamespace{Name: "course-bob"}},
		"by a profile":        {launching + clusterwide("p", "{profiles: [{slug: a, displayName: A}, {slug: b, displayName: B, settings: {namespace: gpu}}]}"), profiled("b"), UserNamespace{Name: "gpu"}},
		"not by another":      {launching + clusterwide("p", "{profiles: [{slug: a, displayName: A}, {slug: b, displayName: B, settings: {namespace: gpu}}]}"), profiled("a"), UserNamespace{}},
		"one that is there":   {launching + clusterwide("own", "{namespaceSelector: {matchLabels: {tier: research}}, defaults: {enableUserNamespaces: true}}"), there("jupyter-bob", "tier", "research"), UserNamespace{Name: "jupyter-bob", Labels: map[string]string{LabelHub: "main"}, Annotations: map[string]string{}, Create: true}},
		"by priority":         {launching + places("a", "one") + clusterwide("b", "{priority: 1, namespaceSelector: {matchLabels: {place: two}}, defaults: {namespace: team}}"), asked("bob"), UserNamespace{Name: "team"}},
		"after one that isn't for it": {launching + places("a", "one") + clusterwide("b", "{priority: 1, namespaceSelector: {matchLabels: {tier: research}}, defaults: {enableUserNamespaces: true, userNamespaceTemplate: 'one-{username}'}}"),
			there("one-bob", "place", "one"), UserNamespace{Name: "one-bob", Labels: map[string]string{LabelHub: "main", "place": "one"}, Annotations: map[string]string{}, Create: true}},
		"after one of less priority that fails": {launching + clusterwide("own", "{priority: 1, namespaceSelector: {matchLabels: {kind: user}}, defaults: {enableUserNamespaces: true, userNamespaceLabels: {kind: user}}}") +
			clusterwide("team", `{namespaceSelector: {matchLabels: {kind: team}}, expressions: {namespace: "groups[0]"}}`),
			asked("bob"), UserNamespace{Name: "jupyter-bob", Labels: map[string]string{LabelHub: "main", "kind": "user"}, Annotations: map[string]string{}, Create: true}},
		"that of two asked of": {launching + places("a", "one") + places("b", "two"), there("two-bob", "place", "two"), UserNamespace{Name: "two-bob", Labels: map[string]string{LabelHub: "main", "place": "two"}, Annotations: map[string]string{}, Create: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, denials := compiled(t, c.policies).Namespace(c.in)
			require.Empty(t, denials)
			assert.Equal(t, c.want, got)
		})
	}
}

func profiled(slug string) Input {
	in := asked("bob")
	in.Identity.Profile = slug
	return in
}

func there(name, key, value string) Input {
	in := asked("bob")
	in.Namespace = Namespace{Name: name, Labels: map[string]string{key: value}}
	return in
}

// places is a policy that gives users namespaces of this kind, and is for those alone.
func places(name, kind string) string {
	return clusterwide(name, "{namespaceSelector: {matchLabels: {place: "+kind+"}}, defaults: {enableUserNamespaces: true, userNamespaceTemplate: '"+kind+"-{username}', userNamespaceLabels: {place: "+kind+"}}}")
}

func TestPoliciesThatDisagreeOnANamespace(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		in       Input
		code     Code
		says     string
	}{
		"two": {launching + places("a", "one") + places("b", "two"), asked("bob"), NameMismatch,
			`the namespace of user "bob": ClusterSpawnPolicy a says "one-bob", ClusterSpawnPolicy b says "two-bob"; say by their users, groups or hubs`},
		"one that isn't for its own": {launching + clusterwide("own", "{namespaceSelector: {matchLabels: {tier: research}}, defaults: {enableUserNamespaces: true}}"), asked("bob"), NameMismatch,
			`isn't for namespace "jupyter-bob" with labels kubernetes.io/metadata.name=jupyter-bob,slipway.dev/hub=main, which it gives user "bob": have userNamespaceLabels give it`},
		"one that is there and has other labels": {launching + own, there("jupyter-bob", "kind", "team"), NameMismatch, `isn't for namespace "jupyter-bob" with labels kind=team`},
		"labels that lead on": {
			launching + clusterwide("a", "{defaults: {enableUserNamespaces: true, userNamespaceLabels: {n: '1'}}}") +
				clusterwide("b", "{namespaceSelector: {matchLabels: {n: '1'}}, defaults: {userNamespaceLabels: {n: '2'}}}"),
			asked("bob"), NameMismatch, `gives user "bob" namespace "jupyter-bob", where policies give another, and so on`,
		},
		"no name for a namespace": {launching + clusterwide("own", "{defaults: {enableUserNamespaces: true, userNamespaceTemplate: '{unescaped_username}'}}"), asked("Bob"), NameMismatch, `gives "Bob", which is no name for a namespace`},
		"no value for a label": {launching + clusterwide("own", "{defaults: {enableUserNamespaces: true, userNamespaceLabels: {who: '{unescaped_username}'}}}"),
			asked("bob@example.org"), TemplateInvalid, `gives "bob@example.org", which is no value for a label`},
		"no number of the user":    {launching + clusterwide("own", "{defaults: {enableUserNamespaces: true, userNamespaceTemplate: 'u-{userid}'}}"), asked("bob"), TemplateInvalid, "{userid} isn't known"},
		"nobody launches there":    {own, asked("bob"), LauncherNotAllowed, "names launchers"},
		"no such profile":          {launching + own, profiled("none"), ProfileUnknown, "none"},
		"an expression that fails": {launching + clusterwide("team", `{expressions: {namespace: "groups[0]"}}`), asked("bob"), ExpressionFailed, "index out of bounds"},
		// Whoever makes it fail would choose where the server goes.
		"an expression that fails, before others": {
			launching + clusterwide("own", "{defaults: {enableUserNamespaces: true}}") + clusterwide("team", `{priority: 1, namespaceSelector: {matchLabels: {kind: team}}, expressions: {namespace: "groups[0]"}}`),
			asked("bob"), ExpressionFailed, "index out of bounds",
		},
		"an expression that fails, among others": {
			launching + places("a", "one") + clusterwide("team", `{namespaceSelector: {matchLabels: {kind: team}}, expressions: {namespace: "groups[0]"}}`),
			asked("bob"), ExpressionFailed, "index out of bounds",
		},
		"before one that is there": {
			launching + places("a", "one") + clusterwide("team", `{priority: 1, namespaceSelector: {matchLabels: {kind: team}}, expressions: {namespace: "groups[0]"}}`),
			there("one-bob", "place", "one"), ExpressionFailed, "index out of bounds",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, denials := compiled(t, c.policies).Namespace(c.in)
			assert.Empty(t, got)
			require.Len(t, denials, 1)
			assert.Equal(t, c.code, denials[0].Code)
			assert.Contains(t, denials[0].String(), c.says)
		})
	}
}

func TestANamespaceThatNoUserCouldHaveIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ settings, says string }{
		"a name":           {"{namespace: Team_A}", "spec.defaults.namespace"},
		"a template":       {"{userNamespaceTemplate: '{username}.x'}", "spec.defaults.userNamespaceTemplate"},
		"a label's key":    {"{userNamespaceLabels: {'a b': c}}", "spec.defaults.userNamespaceLabels[a b]"},
		"a label's value":  {"{userNamespaceLabels: {a: 'b c'}}", "spec.defaults.userNamespaceLabels[a]"},
		"an annotation":    {"{userNamespaceAnnotations: {'a b': c}}", "spec.defaults.userNamespaceAnnotations[a b]"},
		"a later name":     {"{namespace: '{pod_name}'}", "spec.defaults.namespace"},
		"name for its own": {"{userNamespaceTemplate: '{namespace}-x'}", "spec.defaults.userNamespaceTemplate"},
	} {
		t.Run(name, func(t *testing.T) {
			errs := Compile(decoded(t, clusterwide("p", "{defaults: "+c.settings+"}"))).Errors()
			require.Len(t, errs, 1)
			assert.Equal(t, c.says, errs[0].Field)
		})
	}
}

// placing are blocks of cluster policies to draw from.
var placing = []string{
	"{}", "{enableUserNamespaces: true}", "{enableUserNamespaces: false}", "{userNamespaceTemplate: 'u-{username}'}", "{userNamespaceLabels: {a: '1'}}",
	"{userNamespaceLabels: {a: '2', b: '{username}'}}", "{enableUserNamespaces: true, userNamespaceTemplate: '{username}-x', userNamespaceLabels: {a: '1'}}",
	"{namespace: team}", "{namespace: 'n-{username}'}", "{unset: [namespace, userNamespaceLabels]}",
}

var selectors = []string{"", "namespaceSelector: {matchLabels: {a: '1'}}, ", "namespaceSelector: {matchLabels: {a: '2'}}, ", "namespaceSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}, "}

// What is said beforehand is what admission says there, and once it is there, the same is said again.
func TestWhereAServerBelongsItIsAdmitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := launching
		for i := range rapid.IntRange(1, 4).Draw(t, "policies") {
			text += clusterwide("p"+string(rune('0'+i)), "{"+rapid.SampledFrom(selectors).Draw(t, "selector")+
				"defaults: "+rapid.SampledFrom(placing).Draw(t, "defaults")+", enforced: "+rapid.SampledFrom(placing).Draw(t, "enforced")+"}")
		}
		p, err := Decode("drawn.yaml", []byte(text))
		require.NoError(t, err)
		c := Compile(p)
		if len(c.Errors()) > 0 {
			return
		}
		in := asked(rapid.SampledFrom([]string{"alice", "Älice@example.org", "{username}"}).Draw(t, "user"))
		place, denials := c.Namespace(in)
		if len(denials) > 0 || !place.Create {
			return
		}
		labels := maps.Clone(place.Labels)
		labels[corev1.LabelMetadataName] = place.Name
		in.Namespace = Namespace{Name: place.Name, Labels: labels}
		r, err := c.Apply(in)
		require.NoError(t, err)
		assert.Empty(t, r.Denials)
		again, denials := c.Namespace(in)
		assert.Empty(t, denials)
		assert.Equal(t, place, again)
	})
}
