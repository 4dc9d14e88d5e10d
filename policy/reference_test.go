package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// upstream is where a setting comes from: its name in KubeSpawner 0.5.1 to 0.8, and the value of Zero to JupyterHub.
type upstream struct{ old, z2jh string }

var upstreams = map[string]upstream{
	"image":                        {"singleuser_image_spec", "singleuser.image.name, .tag"},
	"imagePullPolicy":              {"singleuser_image_pull_policy", "singleuser.image.pullPolicy"},
	"imagePullSecrets":             {"singleuser_image_pull_secrets", "imagePullSecret, imagePullSecrets, singleuser.image.pullSecrets"},
	"cmd":                          {"", "singleuser.cmd"},
	"defaultUrl":                   {"", "singleuser.defaultUrl"},
	"workingDir":                   {"singleuser_working_dir", ""},
	"environment":                  {"", "singleuser.extraEnv"},
	"memLimit":                     {"", "singleuser.memory.limit"},
	"memGuarantee":                 {"", "singleuser.memory.guarantee"},
	"cpuLimit":                     {"", "singleuser.cpu.limit"},
	"cpuGuarantee":                 {"", "singleuser.cpu.guarantee"},
	"extraResourceLimits":          {"", "singleuser.extraResource.limits"},
	"extraResourceGuarantees":      {"", "singleuser.extraResource.guarantees"},
	"uid":                          {"singleuser_uid", "singleuser.uid"},
	"fsGid":                        {"singleuser_fs_gid", "singleuser.fsGid"},
	"supplementalGids":             {"singleuser_supplemental_gids", ""},
	"privileged":                   {"singleuser_privileged", ""},
	"allowPrivilegeEscalation":     {"", "singleuser.allowPrivilegeEscalation"},
	"serviceAccount":               {"singleuser_service_account", "singleuser.serviceAccountName"},
	"volumes":                      {"volumes", "singleuser.storage.*, singleuser.extraFiles"},
	"volumeMounts":                 {"volume_mounts", "singleuser.storage.*, singleuser.extraFiles"},
	"initContainers":               {"singleuser_init_containers", "singleuser.initContainers, singleuser.cloudMetadata"},
	"extraContainers":              {"singleuser_extra_containers", "singleuser.extraContainers"},
	"lifecycleHooks":               {"singleuser_lifecycle_hooks", "singleuser.lifecycleHooks"},
	"extraContainerConfig":         {"singleuser_extra_container_config", ""},
	"extraPodConfig":               {"singleuser_extra_pod_config", "singleuser.extraPodConfig"},
	"nodeSelector":                 {"singleuser_node_selector", "singleuser.nodeSelector"},
	"tolerations":                  {"", "singleuser.extraTolerations, scheduling.userPods.tolerations"},
	"nodeAffinityPreferred":        {"", "singleuser.extraNodeAffinity.preferred, scheduling.userPods.nodeAffinity"},
	"nodeAffinityRequired":         {"", "singleuser.extraNodeAffinity.required, scheduling.userPods.nodeAffinity"},
	"podAffinityPreferred":         {"", "singleuser.extraPodAffinity.preferred"},
	"podAffinityRequired":          {"", "singleuser.extraPodAffinity.required"},
	"podAntiAffinityPreferred":     {"", "singleuser.extraPodAntiAffinity.preferred"},
	"podAntiAffinityRequired":      {"", "singleuser.extraPodAntiAffinity.required"},
	"schedulerName":                {"", "scheduling.userScheduler.enabled"},
	"priorityClassName":            {"", "scheduling.podPriority.enabled"},
	"storagePvcEnsure":             {"user_storage_pvc_ensure", "singleuser.storage.type"},
	"storageCapacity":              {"user_storage_capacity", "singleuser.storage.capacity"},
	"storageClass":                 {"user_storage_class", "singleuser.storage.dynamic.storageClass"},
	"storageAccessModes":           {"user_storage_access_modes", "singleuser.storage.dynamic.storageAccessModes"},
	"storageExtraLabels":           {"user_storage_extra_labels", "singleuser.storage.extraLabels"},
	"podNameTemplate":              {"pod_name_template", "singleuser.podNameTemplate"},
	"pvcNameTemplate":              {"pvc_name_template", "singleuser.storage.dynamic.pvcNameTemplate"},
	"extraLabels":                  {"singleuser_extra_labels", "singleuser.extraLabels"},
	"extraAnnotations":             {"singleuser_extra_annotations", "singleuser.extraAnnotations"},
	"commonLabels":                 {"", "fixed by the chart"},
	"automountServiceAccountToken": {"", ""},
}

// traitOf is KubeSpawner's name: the same words, in snake case.
func traitOf(setting string) string {
	var b strings.Builder
	for _, r := range setting {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// enforcedCovers says what of the pod an enforced setting holds on to.
func enforcedCovers(setting string) string {
	def := definitions[setting]
	switch {
	case setting == "privileged" || setting == "allowPrivilegeEscalation":
		return "false: every container; true: the notebook"
	case variablesOf[setting] != nil, setting == "secretNameTemplate":
		return "the field"
	case setting == "nodeAffinityRequired":
		return "exactly these"
	case !isPut(setting):
		return "the merged value; nothing later changes it"
	case def.shape == byName, def.shape == byMountPath, def.shape == anonymous:
		return "a list: exactly these; a map: these among others"
	case def.shape == mapping:
		return "the keys named"
	}
	return "the field"
}

func isPut(setting string) bool {
	return slices.ContainsFunc(putters, func(p putter) bool { return p.setting == setting }) || strings.Contains(definitions[setting].lands, "metadata.labels") && definitions[setting].shape == mapping
}

// Rewrite says whether -update was given. The test of the file stands outside of the package, since test/parity imports it.
func Rewrite() bool { return *update }

// SettingsReference is the table of all settings.
func SettingsReference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Settings\n\n")
	b.WriteString("Every setting of a policy's `defaults`, `enforced`, and of a profile's or choice's `settings`: where it comes from, where it lands, and\nwhat its enforced form holds on to. Templates: {placeholders} are filled in. A dash: there is none.\n\n")
	b.WriteString("| setting | KubeSpawner trait | name until 0.8 | Zero to JupyterHub value | lands in | template | default | enforced covers |\n|---|---|---|---|---|---|---|---|\n")
	defaults := builtIn()
	at := map[string]int{}
	for name, index := range allJSONFields(reflect.TypeFor[v1alpha1.Server]()) {
		at[name] = index[0]
	}
	names := slices.SortedFunc(maps.Keys(definitions), func(a, b string) int { return at[a] - at[b] })
	for _, name := range names {
		def := definitions[name]
		value := ""
		if v, has := defaults[name]; has {
			encoded, err := json.Marshal(v)
			require.NoError(t, err)
			value = "`" + string(encoded) + "`"
		}
		trait := traitOf(name)
		switch name {
		case "internalSsl":
			trait = "internal_ssl (hub)"
		case "claims":
			trait = "" // KubeSpawner has one claim
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", name, code(trait), code(upstreams[name].old), cell(upstreams[name].z2jh), code(def.lands),
			map[bool]string{true: "yes", false: "no"}[def.expand != nil], cell(value), enforcedCovers(name))
	}
	for name := range upstreams {
		assert.Contains(t, definitions, name)
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return cell(s)
	}
	return "`" + s + "`"
}

// cell leaves none empty: a reader can't tell nothing from forgotten.
func cell(s string) string { return cmp.Or(s, "–") }

// SettingOf gives the setting of a KubeSpawner trait, and its default here, nil where there is none. It is false where no setting is
// that trait's.
func SettingOf(trait string) (setting string, standard any, is bool) {
	for name := range definitions {
		if traitOf(name) == trait && name != "claims" && name != "internalSsl" {
			return name, builtIn()[name], true
		}
	}
	return "", nil, false
}
