package policy_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/test/parity"
)

const aboutTraits = `
# KubeSpawner's traits

Every setting that KubeSpawner %s has, those of JupyterHub's Spawner included, and what has its place. *Every block* is a policy's ` + "`defaults`" + ` and
` + "`enforced`" + `, the ` + "`settings`" + ` of profiles and of their choices, and ` + "`expressions`" + `. None is said by leaving a setting out, or in a block's ` + "`unset`" + ` where a
weaker one says something. The names under *what differs* are those of the table [below](#where-kubespawner-isnt-followed).

| trait | in a policy | KubeSpawner's default | where it is said | what differs |
|---|---|---|---|---|
`

// place is where a trait's meaning is said, if no setting of its name has it.
type place struct{ field, where, differs string }

var places = map[string]place{
	"profile_list": {"profiles", "a policy's `profiles`", "a function that makes the list is several policies, for their groups; free-text-unchecked; free-text-expanded"},
	"env_keep":     {"hubEnv", "a policy's `hubEnv`", "a pattern may be given; what the hub passes by itself, `JUPYTERHUB_*`, has to be named too"},
	"delete_pvc":   {"deleteClaims", "a policy, and the chart's `launcher.deleteClaims`", "the default: claims are kept"},
	"namespace": {"namespace", "every block of a ClusterSpawnPolicy",
		"the default: a SpawnPolicy is for its own namespace, and the launcher says where a server goes where no policy does"},
}

// fieldsInstead are what a policy has in the place of a Python function.
var fieldsInstead = map[string]string{
	"modify_pod_hook": "mutations", "pre_spawn_hook": "expressions", "group_overrides": "groups", "apply_user_options": "profiles", "get_pod_url": "podConnectIp",
}

// traits is the table of what the installed KubeSpawner has: a trait that it gains has no row, and fails.
func traits(t *testing.T) string {
	t.Helper()
	metadata, err := parity.ForTest(t).Metadata()
	require.NoError(t, err)
	exempt := exemptionsByTrait(t)
	var b strings.Builder
	fmt.Fprintf(&b, aboutTraits, metadata.Versions.KubeSpawner)
	for _, trait := range metadata.Traits {
		p, has := places[trait.Name]
		setting, standard, isSetting := policy.SettingOf(trait.Name)
		why, instead, isElsewhere := kubespawner.Elsewhere(trait.Name)
		switch {
		case has:
		case isSetting:
			p = place{setting, "every block", strings.Join(slices.Concat(ofType(trait), exempt[trait.Name]), "; ")}
			if strings.Contains(trait.Name, "user_namespace") {
				p.where += " of a ClusterSpawnPolicy"
			}
			assert.True(t, sameDefault(standard, trait.Default), "%s: KubeSpawner's default is %v, ours of %s %v", trait.Name, trait.Default, setting, standard)
		case isElsewhere:
			p = place{fieldsInstead[trait.Name], instead, why}
		default:
			assert.Fail(t, "no row", "KubeSpawner has a trait %s: give it a setting, or say in policy/kubespawner where it belongs", trait.Name)
		}
		row := []string{quoted(trait.Name), cmp.Or(quoted(p.field), "no place"), defaultOf(trait), p.where, cmp.Or(p.differs, "nothing")}
		for _, text := range row {
			assert.NotEmpty(t, text, trait.Name)
			assert.NotContains(t, text, "|", "%s: a bar ends a cell", trait.Name)
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}

// ofType is what differs by the type that a trait has in Python.
func ofType(trait parity.Trait) []string {
	var notes []string
	switch {
	case trait.Type == "ByteSpecification":
		notes = append(notes, "KubeSpawner's `8G` is `8Gi`")
	case strings.HasPrefix(trait.Name, "cpu_"):
		notes = append(notes, "a quantity: `0.5` or `500m`")
	}
	if slices.Contains(strings.Split(trait.Type, "|"), "Callable") {
		notes = append(notes, "a function is an expression")
	}
	return notes
}

// sameDefault: no default here is Python's none, or what is empty.
func sameDefault(ours, theirs any) bool {
	if ours == nil {
		return theirs == nil || reflect.ValueOf(theirs).IsZero() || slices.Contains([]string{"[]", "{}"}, asJSON(theirs))
	}
	return asJSON(ours) == asJSON(theirs)
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func defaultOf(trait parity.Trait) string {
	switch {
	case trait.Name == "ssl_alt_names":
		return "the server's names"
	case trait.Default == nil:
		return "none"
	}
	return quoted(asJSON(trait.Default))
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// exemptionsByTrait are the names of the differences that the comparison with KubeSpawner tries for each trait.
func exemptionsByTrait(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("../test/parity/testdata/traits.yaml")
	require.NoError(t, err)
	var rows map[string]any // rows, or why there are none
	require.NoError(t, yaml.Unmarshal(data, &rows))
	names := map[string][]string{}
	for trait, list := range rows {
		tried, _ := list.([]any)
		for _, r := range tried {
			row, _ := r.(map[string]any)
			name, _ := row["exempt"].(string)
			if name != "" && !slices.Contains(names[trait], name) {
				names[trait] = append(names[trait], name)
			}
		}
	}
	return names
}

func TestNoCellOfTheReferenceIsEmpty(t *testing.T) {
	data, err := os.ReadFile("REFERENCE.md")
	require.NoError(t, err)
	tables := 0
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 3 {
			continue
		}
		if strings.HasPrefix(cells[1], "---") {
			tables++
		}
		for _, text := range cells[1 : len(cells)-1] {
			assert.NotEmpty(t, strings.TrimSpace(text), line)
		}
	}
	assert.Equal(t, 3, tables)
}
