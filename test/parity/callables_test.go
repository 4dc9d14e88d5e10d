package parity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// callables is testdata/callables.yaml.
type callables struct {
	Users []struct {
		User      string            `yaml:"user"`
		Server    string            `yaml:"server"`
		UserID    int64             `yaml:"user_id"`
		Groups    []string          `yaml:"groups"`
		AuthState map[string]string `yaml:"auth_state"`
	} `yaml:"users"`
	Elsewhere map[string]string `yaml:"elsewhere"`
	Rows      []computed        `yaml:"rows"`
}

// computed is one thing that hubs compute.
type computed struct {
	Name     string              `yaml:"name"`
	Settings map[string]any      `yaml:"settings"`
	Python   map[string]string   `yaml:"python"`
	Policies []map[string]any    `yaml:"policies"`
	Options  []map[string]string `yaml:"options"`
	// Refused are names of users, or "all".
	Refused any `yaml:"refused"`
	// Invalid is part of the error that a policy of the row has.
	Invalid string `yaml:"invalid"`
}

func readCallables(t *testing.T) callables {
	t.Helper()
	var all callables
	readYAML(t, "testdata/callables.yaml", &all)
	return all
}

// A trait that takes a function and isn't in our table is one that nobody compared.
func TestEveryCallableIsInTheTable(t *testing.T) {
	metadata, err := ForTest(t).Metadata()
	require.NoError(t, err)
	all := readCallables(t)
	tried := map[string]bool{}
	for _, row := range all.Rows {
		for path := range row.Python {
			name, _, _ := strings.Cut(path, "[")
			tried[name] = true
		}
	}
	takes := map[string]bool{"environment": true} // its values may be functions
	for _, trait := range metadata.Traits {
		if slices.ContainsFunc(strings.Split(trait.Type, "|"), func(form string) bool { return form == "Callable" || form == "Any" }) {
			takes[trait.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		assert.NotEqual(t, tried[name], all.Elsewhere[name] != "", "%s takes a function: testdata/callables.yaml needs a row for it, or a reason", name)
	}
	for _, name := range slices.Sorted(maps.Keys(all.Elsewhere)) {
		assert.True(t, takes[name], "testdata/callables.yaml has a reason for %s, which takes no function", name)
	}
}

func TestWhatHubsCompute(t *testing.T) {
	oracle := ForTest(t)
	all := readCallables(t)
	var rows, servers tally
	for _, row := range all.Rows {
		rows.count(t.Run(row.Name, func(t *testing.T) {
			for _, c := range row.cases(&all) {
				servers.count(report(t, c, row.try(t, oracle, c)))
			}
		}))
	}
	rows.print(t, "functions")
	servers.print(t, "functions' servers")
}

func (r *computed) cases(all *callables) []Case {
	options := r.Options
	if len(options) == 0 {
		options = []map[string]string{nil}
	}
	var cases []Case
	for _, u := range all.Users {
		for _, chosen := range options {
			cases = append(cases, Case{
				Settings: settingsOf(r.Settings), Python: r.Python, User: u.User, Server: u.Server, UserID: &u.UserID,
				Groups: u.Groups, AuthState: u.AuthState, Options: chosen, Prefix: "/user/x/",
			})
		}
	}
	return cases
}

// try compares one server. That both sides refuse it is no success by itself: a typing error in the table would be one.
func (r *computed) try(t *testing.T, oracle *Oracle, c Case) []string {
	t.Helper()
	want, err := oracle.Ask(c)
	require.NoError(t, err)
	imported, _, err := kubespawner.Convert(c.Settings, kubespawner.Options{Namespace: c.hubNamespace(), Hub: hub, Launcher: c.launcher()})
	require.NoError(t, err)
	got, err := FitPolicy(c, want, imported, r.policies(t, imported)...)
	require.NoError(t, err)
	if refused := r.refuses(c.User); refused != (want.Error != nil) {
		return []string{fmt.Sprintf("the table says that this is refused: %t; KubeSpawner gives %s", refused, describeAnswer(want))}
	}
	reasons := strings.Join(got.Refused, "; ")
	if r.Invalid == "" && strings.Contains(reasons, "PolicyInvalid") || !strings.Contains(reasons, r.Invalid) {
		return []string{fmt.Sprintf("want a policy with the error %q, got a refusal: %s", r.Invalid, reasons)}
	}
	lines, err := Judge(want, got)
	require.NoError(t, err)
	return AfterConcerns(c, lines)
}

// policies of the row, stronger than the imported one.
func (r *computed) policies(t *testing.T, imported *v1alpha1.SpawnPolicy) []*v1alpha1.SpawnPolicy {
	t.Helper()
	policies := make([]*v1alpha1.SpawnPolicy, len(r.Policies))
	for i, spec := range r.Policies {
		p := &v1alpha1.SpawnPolicy{TypeMeta: imported.TypeMeta}
		p.Namespace, p.Name = imported.Namespace, fmt.Sprintf("z-computed-%d", i)
		data, err := json.Marshal(asJSON(spec))
		require.NoError(t, err)
		strict, err := sigsjson.UnmarshalStrict(data, &p.Spec)
		require.NoError(t, err, "%s: %s", r.Name, data)
		require.Empty(t, strict, "%s: %s", r.Name, data)
		policies[i] = p
	}
	return policies
}

func (r *computed) refuses(user string) bool {
	users, _ := r.Refused.([]any)
	return r.Refused == "all" || slices.Contains(users, any(user))
}
