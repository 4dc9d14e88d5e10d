package parity

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A trait that KubeSpawner has and our table doesn't is one that nobody compared.
func TestEveryTraitIsInTheTable(t *testing.T) {
	metadata, err := ForTest(t).Metadata()
	require.NoError(t, err)
	rows, reasons := traitRows(t)
	t.Logf("parity: KubeSpawner %s, JupyterHub %s", metadata.Versions.KubeSpawner, metadata.Versions.JupyterHub)
	known := map[string]bool{}
	for _, trait := range metadata.Traits {
		known[trait.Name] = true
		if reasons[trait.Name] != "" {
			continue
		}
		assert.NotEmpty(t, rows[trait.Name], "testdata/traits.yaml has no rows for %s (%s)", trait.Name, trait.Type)
		for _, form := range forms(trait) {
			assert.True(t, slices.ContainsFunc(rows[trait.Name], func(r row) bool { return formOf(r.Value) == form }),
				"testdata/traits.yaml has no row where %s is %s", trait.Name, form)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		assert.True(t, known[name], "testdata/traits.yaml has rows for %s, which KubeSpawner doesn't know", name)
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		assert.True(t, known[name], "testdata/traits.yaml has a reason for %s, which KubeSpawner doesn't know", name)
	}
}

// forms are the JSON types that a trait takes. A function is none.
func forms(trait Trait) []string {
	byType := map[string][]string{
		"Bool": {"a flag"}, "ByteSpecification": {"a text", "a number"}, "Command": {"a text", "a list"},
		"Dict": {"a map"}, "Enum": {"a text"}, "Float": {"a number"}, "Int": {"a number"}, "List": {"a list"},
		"Unicode": {"a text"},
	}
	var all []string
	for name := range strings.SplitSeq(trait.Type, "|") {
		all = append(all, byType[name]...)
	}
	if trait.Nullable {
		all = append(all, "null")
	}
	return all
}

func formOf(v any) string {
	switch asJSON(v).(type) {
	case nil:
		return "null"
	case bool:
		return "a flag"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "a map"
}

func TestEveryTraitAlone(t *testing.T) {
	oracle := ForTest(t)
	rows, _ := traitRows(t)
	var traits, servers tally
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		traits.count(t.Run(name, func(t *testing.T) {
			for _, r := range rows[name] {
				for _, c := range r.cases(name) {
					servers.count(report(t, c, try(t, oracle, c, r.Exempt)))
				}
			}
		}))
	}
	traits.print(t, "traits")
	servers.print(t, "traits' values")
}

// cases are the servers that a row is tried for.
func (r row) cases(trait string) []Case {
	settings := settingsOf(r.With)
	settings[trait] = asJSON(r.Value)
	cases := slices.Clone(identities)
	if r.User != "" {
		cases = []Case{{User: r.User, Prefix: "/user/x/"}}
	}
	for i := range cases {
		cases[i].Settings, cases[i].Options, cases[i].Groups, cases[i].Env = settings, r.Options, r.Groups, r.Env
	}
	return cases
}

// oldNames are the settings that KubeSpawner 0.5.1 to 0.8.1 had, where they have another name today.
var oldNames = map[string]string{
	"image_spec":                            "image",
	"singleuser_allow_privilege_escalation": "allow_privilege_escalation",
	"singleuser_extra_annotations":          "extra_annotations",
	"singleuser_extra_container_config":     "extra_container_config",
	"singleuser_extra_containers":           "extra_containers",
	"singleuser_extra_labels":               "extra_labels",
	"singleuser_extra_pod_config":           "extra_pod_config",
	"singleuser_fs_gid":                     "fs_gid",
	"singleuser_image_pull_policy":          "image_pull_policy",
	"singleuser_image_pull_secrets":         "image_pull_secrets",
	"singleuser_image_spec":                 "image",
	"singleuser_init_containers":            "init_containers",
	"singleuser_lifecycle_hooks":            "lifecycle_hooks",
	"singleuser_node_selector":              "node_selector",
	"singleuser_privileged":                 "privileged",
	"singleuser_service_account":            "service_account",
	"singleuser_supplemental_gids":          "supplemental_gids",
	"singleuser_uid":                        "uid",
	"singleuser_working_dir":                "working_dir",
	"user_storage_access_modes":             "storage_access_modes",
	"user_storage_capacity":                 "storage_capacity",
	"user_storage_class":                    "storage_class",
	"user_storage_extra_labels":             "storage_extra_labels",
	"user_storage_pvc_ensure":               "storage_pvc_ensure",
}

// neverHonoured are old names that KubeSpawner itself mistypes, so that they have no effect there, nor here.
var neverHonoured = []string{"singleuser_allow_privilege_escalation", "singleuser_lifecycle_hooks"}

func TestOldNames(t *testing.T) {
	oracle := ForTest(t)
	metadata, err := oracle.Metadata()
	require.NoError(t, err)
	for name := range metadata.Deprecated {
		if !strings.Contains(name, "singleuser_lifecycle_hooks") {
			assert.Contains(t, oldNames, name)
		}
	}
	rows, _ := traitRows(t)
	var figures tally
	for _, old := range slices.Sorted(maps.Keys(oldNames)) {
		figures.count(t.Run(old, func(t *testing.T) {
			for _, r := range rows[oldNames[old]] {
				for _, c := range r.cases(old) {
					report(t, c, try(t, oracle, c, r.Exempt))
				}
			}
		}))
	}
	figures.print(t, "0.5.1 names")
}

// Both names set: today's wins.
func TestTodaysNameWinsOverTheOldOne(t *testing.T) {
	oracle := ForTest(t)
	for old, today := range map[string]any{"singleuser_uid": "uid", "image_spec": "image", "user_storage_class": "storage_class"} {
		name, _ := today.(string)
		c := identities[0]
		c.Settings = map[string]any{"storage_pvc_ensure": true, "storage_capacity": "1Gi"}
		for key, value := range map[string]string{old: "5", name: "6"} {
			c.Settings[key] = value
			if name == "uid" {
				c.Settings[key] = json.Number(value)
			}
		}
		report(t, c, try(t, oracle, c, ""))
	}
}
