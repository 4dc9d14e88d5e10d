package parity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// value draws a JSON value.
type value = rapid.Generator[any]

// Names that break naive schemes: upper case, unicode, e-mail addresses, digits first, dashes, and lengths around
// which a name is cut or hashed.
var (
	users = []string{
		"alice", "Alice", "bob-", "-dash-", "a--b", "9lives", "1", "user@email.com", "Some.User@example.org",
		"some_user", "has.dot", "ünïcode user", "\u65e5\u672c\u8a9e", "İstanbul", "ſtraße", "ALLCAPS", "x y  z",
		strings.Repeat("x", 47), strings.Repeat("x", 48), strings.Repeat("x", 49), strings.Repeat("x", 63),
		strings.Repeat("x", 70), strings.Repeat("a", 35) + "@", strings.Repeat("a", 36) + "@", strings.Repeat("9", 50),
		"a-very-long-name-that-is-too-long-for-sixty-four-character-labels", "{username}", "$(HOME)", "a/b", "tab\tname",
		strings.Repeat("1", 34) + "-" + strings.Repeat("2", 10),
	}
	serverNames = []string{
		"", "gpu", "My Server", "-", "x--y", "test-server!", "9", "ünï", strings.Repeat("b", 17), strings.Repeat("b", 60),
		"Lab.2", "{x}",
	}
)

func drawUser() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom(users), rapid.SampledFrom(users),
		rapid.StringOfN(rapid.RuneFrom([]rune("abcXYZ019-._@ üß\u65e5")), 1, 60, -1),
		rapid.StringN(1, 20, -1),
	)
}

// pieces of templates: every placeholder, and what trips a careless one.
var pieces = []string{
	"{username}", "{servername}", "{user_server}", "{userid}", "{unescaped_username}", "{unescaped_servername}",
	"{safe_username}", "{safe_servername}", "{safe_user_server}", "{escaped_username}", "{escaped_servername}",
	"{escaped_user_server}", "{pod_name}", "{pvc_name}", "{namespace}", "{hubnamespace}",
	"a", "b-", "-", "--", "/", ".", "{{x}}", "}}{{", " ", "$", "ü", "_",
}

func drawTemplate(from []string) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(from), 1, 4), func(parts []string) string { return strings.Join(parts, "") })
}

func drawText() *value { return asAny(drawTemplate(pieces)) }

func asAny[T any](g *rapid.Generator[T]) *value { return rapid.Map(g, func(v T) any { return v }) }

func oneOf(values ...any) *value { return rapid.SampledFrom(values) }

func drawNumber(low, high int) *value {
	return asAny(rapid.Map(rapid.IntRange(low, high), func(n int) json.Number { return json.Number(strconv.Itoa(n)) }))
}

// drawFloat draws a number of three digits after the point.
func drawFloat(high int) *rapid.Generator[json.Number] {
	return rapid.Map(rapid.IntRange(1, high*1000), func(n int) json.Number {
		text := strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return json.Number(text)
	})
}

func drawBytes() *value {
	return rapid.OneOf(
		asAny(rapid.Custom(func(t *rapid.T) string {
			return drawFloat(512).Draw(t, "size").String() + rapid.SampledFrom([]string{"K", "M", "G", "T"}).Draw(t, "unit")
		})),
		drawNumber(0, 1<<40), oneOf("1G", "0G", "2.5G", nil),
	)
}

// mapOf draws some of the keys, each with a value.
func mapOf(keys []string, v *value) *value {
	return rapid.Custom(func(t *rapid.T) any {
		out := map[string]any{}
		for _, key := range keys {
			if rapid.IntRange(0, 2).Draw(t, "has "+key) == 2 {
				out[key] = v.Draw(t, key)
			}
		}
		return out
	})
}

// itemsOf draws some of the items, as a list, or as a map with the items' keys.
func itemsOf(items map[string]any) *value {
	keys := slices.Sorted(maps.Keys(items))
	return rapid.Custom(func(t *rapid.T) any {
		order := rapid.Permutation(keys).Draw(t, "items")
		order = order[:rapid.IntRange(0, len(order)).Draw(t, "how many")]
		if rapid.Bool().Draw(t, "as a map") {
			out := map[string]any{}
			for _, key := range order {
				out[key] = drawn(t, items[key])
			}
			return out
		}
		out := []any{}
		for _, key := range order {
			out = append(out, drawn(t, items[key]))
		}
		return out
	})
}

// drawn replaces the generators inside a value by what they draw.
func drawn(t *rapid.T, v any) any {
	switch v := v.(type) {
	case *value:
		return v.Draw(t, "value")
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out[key] = drawn(t, v[key])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = drawn(t, v[i])
		}
		return out
	}
	return v
}

type object = map[string]any

type list = []any

// settingsDrawn are the traits that random servers are made of. Their values are valid: what KubeSpawner and the
// API server refuse is in the tables.
func settingsDrawn() map[string]*value {
	all := map[string]*value{}
	for _, some := range []map[string]*value{
		plainDrawn(), resourcesDrawn(), itemsDrawn(), schedulingDrawn(), storageDrawn(), metadataDrawn(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func plainDrawn() map[string]*value {
	return map[string]*value{
		"image":                           oneOf("quay.io/jupyter/base:1", "a@sha256:0123", "{username}:1"),
		"image_pull_policy":               oneOf("Always", "Never", "IfNotPresent", nil, ""),
		"image_pull_secrets":              oneOf("one", list{}, list{"a", "b"}, list{object{"name": "c"}, "d"}),
		"cmd":                             oneOf(nil, list{}, "start.sh", list{"start.sh", "{username}"}),
		"args":                            oneOf(list{}, list{"--a", "{b}"}),
		"ip":                              oneOf("0.0.0.0", "::", "127.0.0.1"),
		"port":                            drawNumber(1, 65535),
		"default_url":                     oneOf("", "/lab", "/lab/{username}", "{base_url}x", "%U"),
		"notebook_dir":                    oneOf("", "/home/{username}", "~"),
		"debug":                           oneOf(true, false),
		"disable_user_config":             oneOf(true, false),
		"privileged":                      oneOf(true, false),
		"allow_privilege_escalation":      oneOf(true, false, nil),
		"automount_service_account_token": oneOf(true, false, nil),
		"service_account":                 rapid.OneOf(drawText(), oneOf(nil, "", "robot")),
		"working_dir":                     rapid.OneOf(drawText(), oneOf(nil, "", "/srv")),
		"component_label":                 oneOf("notebook", "singleuser-server"),
		"slug_scheme":                     oneOf("safe", "escape"),
		"pod_connect_ip":                  oneOf("", "{username}.a.b", "x-{servername}.{namespace}", "fixed"),
		"dns_name_template":               oneOf("{name}.{namespace}.svc", "x"),
		"services_enabled":                oneOf(true, false),
		"internal_ssl":                    oneOf(true, false),
		"secret_mount_path":               oneOf("/etc/tls/", "/tls"),
		"secret_name_template":            oneOf("{pod_name}", "tls-{user_server}"),
		"env_keep":                        oneOf(list{}, list{"KEPT"}),
		"hub_connect_url":                 oneOf(nil, "http://hub:1234"),
		"start_timeout":                   drawNumber(1, 600),
		"lifecycle_hooks": oneOf(object{}, object{"postStart": object{"exec": object{"command": list{"a", "{b}"}}}},
			object{"pre_stop": object{"exec": object{"command": list{"c"}}}}),
	}
}

func resourcesDrawn() map[string]*value {
	cpu := rapid.OneOf(asAny(drawFloat(64)), drawNumber(0, 64), oneOf(nil))
	extra := mapOf([]string{"nvidia.com/gpu", "cpu", "memory", "ephemeral-storage"}, oneOf("1", "2Gi", "500m", json.Number("3")))
	id := rapid.OneOf(drawNumber(0, 70000), oneOf(nil))
	return map[string]*value{
		"mem_limit": drawBytes(), "mem_guarantee": drawBytes(), "cpu_limit": cpu, "cpu_guarantee": cpu,
		"extra_resource_limits": extra, "extra_resource_guarantees": extra,
		"uid": id, "gid": id, "fs_gid": id,
		"supplemental_gids":          oneOf(list{}, list{json.Number("1"), json.Number("2")}),
		"container_security_context": mapOf([]string{"runAsUser", "runAsGroup"}, drawNumber(0, 9)),
		"pod_security_context":       mapOf([]string{"fsGroup", "runAsUser"}, drawNumber(0, 9)),
	}
}

func itemsDrawn() map[string]*value {
	mount := func(path string) object {
		return object{"name": "volume-{user_server}", "mountPath": path, "subPath": drawText()}
	}
	container := func(name string) object {
		return object{"name": name, "image": "i:1", "args": list{drawText()}, "env": list{object{"name": "A", "value": drawText()}}}
	}
	return map[string]*value{
		"volumes": itemsOf(object{
			"home": object{"name": "volume-{user_server}", "persistentVolumeClaim": object{"claimName": "{pvc_name}"}},
			"10":   object{"name": "ten", "emptyDir": object{}},
			"9":    object{"name": "nine", "hostPath": object{"path": drawText()}},
			"Z":    object{"name": "secret", "secret": object{"secretName": "s", "defaultMode": json.Number("256")}},
		}),
		"volume_mounts": itemsOf(object{
			"home": mount("/home/jovyan"), "10": mount("/ten"), "9": mount("/nine"),
			"_": object{"name": "ten", "mount_path": "/underscore", "read_only": true},
		}),
		"init_containers":        itemsOf(object{"a": container("init-a"), "b": container("init-b")}),
		"extra_containers":       itemsOf(object{"a": container("side-a"), "b": container("side-b")}),
		"extra_container_config": mapOf([]string{"stdin", "tty"}, oneOf(true, false)),
		"extra_pod_config": rapid.OneOf(
			mapOf([]string{"hostname", "subdomain", "runtimeClassName"}, drawText()),
			oneOf(object{"restartPolicy": "Never"}, object{"dns_policy": "None", "dnsConfig": object{"searches": list{"{username}.x"}}},
				object{"tolerations": list{object{"key": "over"}}}, object{"terminationGracePeriodSeconds": json.Number("5")})),
	}
}

func schedulingDrawn() map[string]*value {
	term := func(key string) object {
		return object{"matchExpressions": list{object{"key": key, "operator": "In", "values": list{"{username}"}}}}
	}
	pods := func(key string) object {
		return object{"topologyKey": key, "labelSelector": object{"matchLabels": object{"a": "{username}"}}}
	}
	weighted := func(field string, v any) object { return object{"weight": json.Number("5"), field: v} }
	return map[string]*value{
		"node_selector":               mapOf([]string{"pool", "arch"}, oneOf("a", "{username}")),
		"tolerations":                 itemsOf(object{"a": object{"key": "a", "operator": "Exists"}, "b": object{"key": "b", "toleration_seconds": json.Number("5"), "effect": "NoExecute"}}),
		"node_affinity_preferred":     itemsOf(object{"a": weighted("preference", term("a")), "b": weighted("preference", term("b"))}),
		"node_affinity_required":      itemsOf(object{"a": term("a"), "b": term("b")}),
		"pod_affinity_preferred":      itemsOf(object{"a": weighted("podAffinityTerm", pods("a")), "b": weighted("pod_affinity_term", pods("b"))}),
		"pod_affinity_required":       itemsOf(object{"a": pods("a"), "b": pods("b")}),
		"pod_anti_affinity_preferred": itemsOf(object{"a": weighted("podAffinityTerm", pods("a"))}),
		"pod_anti_affinity_required":  itemsOf(object{"a": pods("a"), "b": pods("b")}),
		"scheduler_name":              oneOf(nil, "", "s", "{username}"),
		"priority_class_name":         oneOf("", "high"),
	}
}

func storageDrawn() map[string]*value {
	return map[string]*value{
		"storage_pvc_ensure":        oneOf(true, false),
		"storage_capacity":          oneOf("1Gi", "10G", "1.5Ti"),
		"storage_class":             oneOf(nil, "", "fast", "{username}"),
		"storage_access_modes":      oneOf(list{"ReadWriteOnce"}, list{"ReadWriteMany", "ReadOnlyMany"}),
		"storage_selector":          oneOf(object{}, object{"matchLabels": object{"a": "{username}"}}),
		"storage_extra_labels":      mapOf([]string{"a", "app", "component"}, drawText()),
		"storage_extra_annotations": mapOf([]string{"a", "volume.beta.kubernetes.io/storage-class"}, drawText()),
		"pvc_name_template":         oneOf("claim-{user_server}", "claim-{username}--{servername}", "home-{safe_user_server}", "{pod_name}", "c-{userid}"),
		"pod_name_template":         oneOf("jupyter-{user_server}", "jupyter-{username}--{servername}", "j-{userid}-{safe_servername}", "p-{escaped_username}"),
	}
}

func metadataDrawn() map[string]*value {
	plain := []string{"A", "B", "C", "a", "_", "É", "JUPYTER_IMAGE", "JUPYTERHUB_API_URL", "MEM_LIMIT"}
	reference := asAny(rapid.Map(rapid.SampledFrom(plain), func(name string) string { return "x$(" + name + ")" }))
	text := rapid.OneOf(drawText(), drawText(), reference, oneOf("", nil))
	// Of the kinds each has variables of its own: one merged over another is refused, or exempt (two-spellings).
	literal := oneOf(object{"value": "v-{username}"}, object{}, object{"name": "RENAMED", "value": "$(A)"}, object{"value": ""})
	source := oneOf(object{"valueFrom": object{"secretKeyRef": object{"name": "s-{username}", "key": "k"}}},
		object{"valueFrom": object{"secretKeyRef": object{"name": "t", "key": "{username}"}}})
	inPython := oneOf(object{"value_from": object{"secretKeyRef": object{"name": "t", "key": "{username}"}}},
		object{"value_from": object{"configMapKeyRef": object{"name": "c", "key": "k"}}})
	return map[string]*value{
		"environment": rapid.Custom(func(t *rapid.T) any {
			env, _ := mapOf(plain, text).Draw(t, "texts").(map[string]any)
			if rapid.Bool().Draw(t, "has a literal") {
				env["LITERAL"] = literal.Draw(t, "literal")
			}
			if rapid.Bool().Draw(t, "has a source") {
				env["SOURCE"] = source.Draw(t, "source")
			}
			if rapid.Bool().Draw(t, "has a source in Python's spelling") {
				env["PYTHON"] = inPython.Draw(t, "source in Python's spelling")
			}
			return env
		}),
		"common_labels":     mapOf([]string{"app", "heritage", "release", "mine"}, oneOf("a", "b", "{c}")),
		"extra_labels":      mapOf([]string{"app", "mine", "other", "component"}, drawText()),
		"extra_annotations": mapOf([]string{"mine", "other", "hub.jupyter.org/kubespawner-version"}, drawText()),
	}
}

// notInProfiles: names are made before a profile is chosen, and what the hub itself acts on is no part of one.
var notInProfiles = []string{
	"pod_name_template", "pvc_name_template", "secret_name_template", "dns_name_template", "slug_scheme", "internal_ssl",
	"env_keep", "hub_connect_url", "start_timeout", "pod_connect_ip", "services_enabled",
}

// drawSettings draws a few of all settings.
func drawSettings(t *rapid.T, what string) map[string]any { return drawSome(t, what, settingsDrawn()) }

// drawOverride draws what a profile or choice puts over the settings. null takes a key of a map away.
func drawOverride(t *rapid.T, what string) map[string]any {
	all := settingsDrawn()
	for _, name := range notInProfiles {
		delete(all, name)
	}
	override := drawSome(t, what, all)
	for _, name := range alwaysMaps {
		m, ok := override[name].(map[string]any)
		if !ok {
			continue
		}
		for _, key := range []string{"A", "B", "mine", "app", "pool", "nvidia.com/gpu", "runAsUser", "stdin", "postStart", "hostname"} {
			if rapid.IntRange(0, 9).Draw(t, "take away") == 9 {
				m[key] = nil
			}
		}
	}
	return override
}

// alwaysMaps are the settings that only take a map, so that a map in a profile is merged over them. A key that
// isn't there to be taken away does no harm, in most.
var alwaysMaps = []string{
	"environment", "extra_labels", "extra_annotations", "common_labels", "node_selector", "extra_resource_limits",
	"extra_resource_guarantees", "storage_extra_labels", "storage_extra_annotations",
}

func drawSome(t *rapid.T, what string, all map[string]*value) map[string]any {
	names := slices.Sorted(maps.Keys(all))
	chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 12, rapid.ID[string]).Draw(t, what)
	settings := map[string]any{}
	for _, name := range chosen {
		settings[name] = all[name].Draw(t, what+" "+name)
	}
	return settings
}

// renamed gives some settings their old names.
func renamed(t *rapid.T, settings map[string]any) map[string]any {
	for _, old := range slices.Sorted(maps.Keys(oldNames)) {
		v, has := settings[oldNames[old]]
		if !has || slices.Contains(neverHonoured, old) || rapid.IntRange(0, 4).Draw(t, old) < 4 {
			continue
		}
		delete(settings, oldNames[old])
		settings[old] = v
	}
	return settings
}

// drawCase draws a server.
func drawCase(t *rapid.T) Case {
	id := int64(rapid.IntRange(1, 100000).Draw(t, "user id"))
	c := Case{
		Settings: drawSettings(t, "settings"),
		User:     drawUser().Draw(t, "user"),
		Server:   rapid.SampledFrom(serverNames).Draw(t, "server"),
		UserID:   &id,
		Prefix:   "/user/x/",
		Env:      map[string]string{"KEPT": "kept"},
		// Where the hub itself runs.
		HubNamespace: rapid.SampledFrom([]string{"default", "jhub"}).Draw(t, "hub namespace"),
	}
	if _, has := c.Settings["storage_capacity"]; !has {
		c.Settings["storage_capacity"] = "5Gi"
	}
	c.Settings = renamed(t, c.Settings)
	if rapid.Bool().Draw(t, "with profiles") {
		profiles, chosen := drawProfiles(t)
		c.Settings["profile_list"], c.Options = profiles, chosen
		if rapid.Bool().Draw(t, "as a map") {
			byKey := object{}
			for i, p := range profiles {
				byKey[strconv.Itoa(8+i)] = p
			}
			c.Settings["profile_list"] = byKey
		}
	}
	return c
}

// drawProfiles draws profiles with options, and what the user chose.
func drawProfiles(t *rapid.T) (profiles []any, chosen map[string]string) {
	count := rapid.IntRange(1, 3).Draw(t, "profiles")
	chosen = map[string]string{}
	choice := rapid.SampledFrom([]string{"a", "b", "no-such"})
	for i := range count {
		slug := fmt.Sprintf("p%d", i)
		profile := object{"display_name": slug, "slug": slug, "kubespawner_override": drawOverride(t, slug)}
		if rapid.Bool().Draw(t, "default") {
			profile["default"] = true
		}
		if rapid.Bool().Draw(t, "has options") {
			profile["profile_options"] = object{"one": drawOption(t, slug)}
		}
		profiles = append(profiles, profile)
	}
	if n := rapid.IntRange(-1, count).Draw(t, "chosen"); n >= 0 {
		chosen["profile"] = fmt.Sprintf("p%d", n)
	}
	switch rapid.IntRange(0, 3).Draw(t, "option") {
	case 1:
		chosen["one"] = choice.Draw(t, "choice")
	case 2:
		chosen["one--unlisted-choice"] = rapid.SampledFrom([]string{"ok-1", "ok.2", "bad"}).Draw(t, "text")
	}
	if chosen["profile"] == "" {
		// Without a profile KubeSpawner doesn't check free text.
		delete(chosen, "one--unlisted-choice")
	}
	return profiles, chosen
}

func drawOption(t *rapid.T, slug string) any {
	choices := object{}
	for _, name := range []string{"a", "b"} {
		choices[name] = object{"display_name": name, "kubespawner_override": drawOverride(t, slug+" "+name)}
	}
	option := object{"display_name": "one", "choices": choices}
	if rapid.Bool().Draw(t, "free text") {
		option["unlisted_choice"] = object{
			"enabled": true, "validation_regex": "^ok.*$",
			"kubespawner_override": object{"image": "{value}:1", "environment": object{"TYPED": "x{value}-{{username}}"}},
		}
	}
	return option
}
