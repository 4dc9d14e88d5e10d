package expression

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var alice = &Variables{
	User: "alice", UserID: new(int64(7)), UserAnnotations: map[string]string{"uid": "1001", "team": "blue", "z": "", "a": "", "m": ""},
	Server: "big", Hub: "main", Groups: []string{"staff", "users"},
	Namespace: "research", NamespaceLabels: map[string]string{"tier": "gold"},
	Profile: "gpu", Options: map[string]string{"image": "pytorch"},
}

func TestValues(t *testing.T) {
	for text, want := range map[string]any{
		"int(user.annotations['uid'])":  int64(1001),
		"user.id":                       int64(7),
		"user.name + '-' + server.name": "alice-big",
		"hub.name":                      "main",
		"'staff' in groups":             true,
		"namespaceObject.metadata.labels['tier'] == 'gold'": true,
		"namespaceObject.metadata.name":                     "research",
		"profile + options['image']":                        "gpupytorch",
		"quantity('1Gi').add(quantity('1Gi'))":              "2Gi",
		"0.5":                                               0.5,
		"[1, 2].map(i, i * 2)":                              []any{int64(2), int64(4)},
		"{'a': 'b'}":                                        map[string]any{"a": "b"},
		"Object.spec.volumes{name: 'x', emptyDir: Object.spec.volumes.emptyDir{}}": map[string]any{"name": "x", "emptyDir": map[string]any{}},
		"[{'name': dyn('x'), 'emptyDir': dyn({})}]":                                []any{map[string]any{"name": "x", "emptyDir": map[string]any{}}},
		"'x' in user.annotations ? optional.of(1) : optional.none()":               nil,
		"user.annotations[?'team']":                                                "blue",
		"user.annotations[?'none'].orValue('red')":                                 "red",
		"has(user.id) ? 'known' : 'unknown'":                                       "known",
		"server.name + '/' + options[?'size'].orValue('none')":                     "big/none",
		"user.name.find('^[a-z]+')":                                                "alice",
	} {
		p, err := Compile(text, Setting, Anything)
		require.NoError(t, err, text)
		got, err := p.Value(alice, nil, &Budget{})
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}

func TestWalksThroughMapsInOrder(t *testing.T) {
	for _, text := range []string{
		"user.annotations.map(k, k)",
		"{'d': '1', 'b': '2', 'c': '3', 'a': '4', 'e': '5'}.map(k, k)",
		"user.annotations.transformMap(k, v, k + v).map(k, k)",
		"user.annotations.transformList(k, v, k)",
		"user.annotations.transformMap(k, v, k).transformList(k, v, v)",
		"dyn({'x': {'d': '1', 'b': '2', 'c': '3', 'a': '4'}}).x.map(k, k)",
		"user.annotations.filter(k, k != 'team')",
	} {
		p, err := Compile(text, Setting, List)
		require.NoError(t, err, text)
		first := ""
		for range 50 {
			got, err := p.Value(alice, nil, &Budget{})
			require.NoError(t, err, text)
			if first == "" {
				first = fmt.Sprint(got)
			}
			require.Equal(t, first, fmt.Sprint(got), text)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		want Result
		says string
	}{
		{"usr.name", Text, "line 1, column 1: undeclared reference to 'usr'. The variables here are user, server, hub, groups, namespaceObject, profile, options"},
		{"user.nmae", Text, "undefined field 'nmae'. user has name, slug, id and annotations;"},
		{"len(groups)", Whole, "undeclared reference to 'len'. CEL has no function of that name"},
		{"\nuser.name.upper()", Text, "line 2, column 16: undeclared reference to 'upper'. CEL has no function of that name"},
		{"'a' in groups ? '8Gi' : null", Text, "to say nothing in some cases, give optional.of(…) and optional.none()"},
		{"{'a': 1, 'b': 'x'}", Map, "expected type 'int' but found 'string'. All values of a list or a map are of one type: dyn(…)"},
		{"user.name + user.id", Text, "string(…) makes text of a number"},
		{"user.name", Whole, "must give a whole number, and gives string"},
		{"null", Text, "optional.none()"},
		{"object.spec", Anything, "undeclared reference to 'object'"},
		{"1 +", Whole, "must be a CEL expression"},
		{"groups.all(a, groups.all(b, groups.all(c, a + b + c != '')))", Bool, "walk through fewer lists inside each other"},
		{"authorizer.path('/x').check('get').allowed()", Bool, "undeclared reference to 'authorizer'"},
	} {
		_, err := Compile(c.text, Setting, c.want)
		require.Error(t, err, c.text)
		assert.Contains(t, err.Error(), c.says)
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestCutsWhatCostsTooMuch(t *testing.T) {
	rich := *alice
	for i := range 2000 {
		rich.Groups = append(rich.Groups, fmt.Sprintf("group-%04d", i))
	}
	p, err := Compile("groups.all(a, groups.all(b, a + b != ''))", Setting, Bool)
	require.NoError(t, err)
	_, err = p.Bool(&rich, nil, &Budget{})
	require.ErrorIs(t, err, errTooDear)
	ok, err := p.Bool(alice, nil, &Budget{})
	require.NoError(t, err)
	assert.True(t, ok)

	budget := &Budget{}
	for range 100 {
		if _, err = p.Bool(&rich, nil, budget); err == nil || budget.spent > maxRequest {
			break
		}
	}
	_, err = p.Bool(alice, nil, budget)
	require.ErrorIs(t, err, errTooDear, "the budget is of all expressions together")
}

func pod() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "jupyter-alice", "namespace": "research", "labels": map[string]any{"a": "b"}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "notebook", "image": "i", "resources": map[string]any{}}}, "nodeSelector": map[string]any{"x": "y"}},
	}
}

func TestMutations(t *testing.T) {
	for _, c := range []struct{ kind, text, field string }{
		{JSONPatch, "[JSONPatch{op: 'add', path: '/spec/volumes', value: [Object.spec.volumes{name: user.name, emptyDir: Object.spec.volumes.emptyDir{}}]}]", "volumes"},
		{JSONPatch, "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: profile}]", ""},
		{JSONPatch, "object.spec.containers.exists(c, c.name == 'notebook') ? [JSONPatch{op: 'add', path: '/spec/hostname', value: 'h'}] : []", "hostname"},
		{ApplyConfiguration, "Object{spec: Object.spec{hostname: user.name, initContainers: [Object.spec.initContainers{name: 'init', image: 'x'}]}}", "initContainers"},
	} {
		m, err := CompileMutation(c.kind, c.text)
		require.NoError(t, err, c.text)
		before := pod()
		after, err := m.Apply(alice, before, &Budget{})
		require.NoError(t, err, c.text)
		assert.Equal(t, pod(), before, "the given pod stays as it is")
		assert.NotEqual(t, pod(), after)
		if c.field != "" {
			assert.Contains(t, after["spec"], c.field)
		}
		assert.Contains(t, fmt.Sprint(after["spec"]), "notebook")
	}
	for _, c := range []struct{ kind, text, says string }{
		{JSONPatch, "[JSONPatch{op: 'remove', path: '/spec/none'}]", "JSON Patch: "},
		{JSONPatch, "[JSONPatch{op: 'add', path: '/spec/x', value: object.spec.none}]", "no such key: none"},
		{ApplyConfiguration, "Object{spec: Object.spec{nodeSelector: Object.spec.nodeSelector{a: 'b'}}}", "may not mutate atomic"},
		{ApplyConfiguration, "Object{spec: Object.spec{misspelt: 'b'}}", "misspelt"},
	} {
		m, err := CompileMutation(c.kind, c.text)
		require.NoError(t, err, c.text)
		_, err = m.Apply(alice, pod(), &Budget{})
		require.Error(t, err, c.text)
		assert.Contains(t, err.Error(), c.says)
	}
	_, err := CompileMutation(JSONPatch, "Object{}")
	require.ErrorContains(t, err, "must give a list of JSONPatch, and gives Object")
	_, err = CompileMutation(ApplyConfiguration, "[JSONPatch{}]")
	require.ErrorContains(t, err, "must give an Object{…}, and gives list(JSONPatch)")
}

func BenchmarkMutation(b *testing.B) {
	for kind, text := range map[string]string{
		JSONPatch:          "[JSONPatch{op: 'add', path: '/spec/hostname', value: user.name}]",
		ApplyConfiguration: "Object{spec: Object.spec{hostname: user.name}}",
	} {
		b.Run(kind, func(b *testing.B) {
			m, err := CompileMutation(kind, text)
			require.NoError(b, err)
			for b.Loop() {
				if _, err := m.Apply(alice, pod(), &Budget{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDearest is one expression that uses up what one may cost.
func BenchmarkDearest(b *testing.B) {
	rich := *alice
	for i := range 2000 {
		rich.Groups = append(rich.Groups, fmt.Sprintf("group-%04d", i))
	}
	for name, text := range map[string]string{
		"strings":  "groups.all(a, groups.all(b, a + b != ''))",
		"compare":  "groups.all(a, groups.all(b, a != 'x' || b != 'y'))",
		"format":   "groups.all(a, groups.all(b, '%s-%s'.format([a, b]) != ''))",
		"quantity": "groups.all(a, groups.all(b, quantity('1Gi').isLessThan(quantity('2Gi'))))",
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(text, Setting, Bool)
			require.NoError(b, err)
			for b.Loop() {
				if _, err := p.Bool(&rich, nil, &Budget{}); err == nil {
					b.Fatal("isn't cut")
				}
			}
		})
	}
}
