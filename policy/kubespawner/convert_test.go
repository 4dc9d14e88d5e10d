package kubespawner

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// traitsOf reads traits as the loader writes them.
func traitsOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var o Object
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	traits := map[string]any{}
	for _, m := range o {
		traits[m.Key] = m.Value
	}
	return traits
}

func convert(t *testing.T, text string, o Options) (*v1alpha1.SpawnPolicy, []Finding) {
	t.Helper()
	o.Launcher = v1alpha1.ServiceAccountRef{Namespace: "jhub", Name: "hub"} // as every hub has one
	p, findings, err := Convert(traitsOf(t, text), o)
	require.NoError(t, err)
	return p, findings
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// told are the findings, one a line.
func told(findings []Finding) string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func TestTraitsBecomeSettings(t *testing.T) {
	for traits, want := range map[string]string{
		// Sizes are powers of 1024, and written in Kubernetes' own units.
		`{"mem_limit": "1G", "mem_guarantee": "1.5G"}`:                                               `{"memLimit": "1Gi", "memGuarantee": "1536Mi"}`,
		`{"mem_limit": 1073741824, "mem_guarantee": 1024.9}`:                                         `{"memLimit": "1Gi", "memGuarantee": "1Ki"}`,
		`{"mem_limit": 0, "mem_guarantee": "0G"}`:                                                    `null`,
		`{"mem_limit": null, "cpu_limit": null, "uid": null}`:                                        `null`,
		`{"cpu_limit": 0.1, "cpu_guarantee": 2}`:                                                     `{"cpuLimit": "100m", "cpuGuarantee": "2"}`,
		`{"cpu_limit": 1e22, "cpu_guarantee": 15.536}`:                                               `{"cpuLimit": "10e21", "cpuGuarantee": "15536m"}`,
		`{"cpu_limit": 0, "cpu_guarantee": 1e-7}`:                                                    `{"cpuGuarantee": "100n"}`,
		`{"extra_resource_limits": {"nvidia.com/gpu": 1, "x": "1Gi", "y": null, "z": 0.5}}`:          `{"extraResourceLimits": {"nvidia.com/gpu": "1", "x": "1Gi", "z": "500m"}}`,
		`{"storage_capacity": "10Gi", "storage_class": "", "storage_access_modes": "ReadWriteMany"}`: `{"storageCapacity": "10Gi", "storageClass": "", "storageAccessModes": ["ReadWriteMany"]}`,
		// A text is one argument; none at all is no cmd.
		`{"cmd": "start.sh now"}`:     `{"cmd": ["start.sh now"]}`,
		`{"cmd": [], "args": []}`:     `null`,
		`{"cmd": ["a"], "args": "b"}`: `{"cmd": ["a"], "args": ["b"]}`,
		// What is set to nothing.
		`{"scheduler_name": "", "priority_class_name": "", "image_pull_policy": "", "default_url": "", "working_dir": null, "pod_connect_ip": ""}`: `null`,
		`{"volumes": [], "environment": {}, "node_selector": {}, "lifecycle_hooks": {}}`:                                                           `null`,
		`{"allow_privilege_escalation": null}`:                            `{"unset": ["allowPrivilegeEscalation"]}`,
		`{"service_account": ""}`:                                         `{"serviceAccount": ""}`,
		`{"privileged": 1, "port": 0, "ip": "[::]"}`:                      `{"privileged": true, "port": 8888, "ip": "::"}`,
		`{"notebook_dir": "/home/%U", "working_dir": "/home/{username}"}`: `{"notebookDir": "/home/{username}", "workingDir": "/home/{username}"}`,
		// No null is left, which no policy may hold.
		`{"init_containers": [{"name": "a", "image": "b", "args": [null], "envFrom": [null]}]}`: `{"initContainers": [{"name": "a", "image": "b", "args": [""], "envFrom": [{}]}]}`,
		`{"volumes": [{"name": "a", "projected": {"sources": [null]}}]}`:                        `{"volumes": [{"name": "a", "projected": {"sources": [{}]}}]}`,
		// Pull secrets in each form.
		`{"image_pull_secrets": "a"}`:                       `{"imagePullSecrets": ["a"]}`,
		`{"image_pull_secrets": ["a", {"name": "b"}, "a"]}`: `{"imagePullSecrets": ["a", "b", "a"]}`,
		`{"supplemental_gids": [1, "2"]}`:                   `{"supplementalGids": [1, 2]}`,
		// Environment in each form.
		`{"environment": {"A": "x", "B": null, "C": {"value_from": {"fieldRef": {"fieldPath": "metadata.name"}}}, "D": {"name": "DD", "value": "{username}"}}}`: `{"environment": {"A": "x", "B": {}, "C": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "D": {"name": "DD", "value": "{username}"}}}`,
		`{"environment": {"JUPYTER_IMAGE": null, "JUPYTER_IMAGE_SPEC": "x"}}`:                                                                                   `{"environment": {"JUPYTER_IMAGE_SPEC": "x"}}`,
		// Labels are texts, and null is the empty one; common_labels replace KubeSpawner's own.
		`{"extra_labels": {"a": null}, "common_labels": {"app": null, "team": "x"}}`: `{"commonLabels": {"app": "", "team": "x"}, "extraLabels": {"a": ""}, "unset": ["commonLabels[app.kubernetes.io/managed-by]", "commonLabels[app.kubernetes.io/name]", "commonLabels[heritage]"]}`,
		`{"common_labels": {}}`: `{"unset": ["commonLabels"]}`,
		// Items: names of the first level in either case, nulls gone, keys of a map sorted, a list's order kept.
		`{"volume_mounts": [{"mount_path": "/b", "name": "b", "sub_path": null}, {"mountPath": "/a", "name": "a"}]}`: `{"volumeMounts": [{"name": "b", "mountPath": "/b"}, {"name": "a", "mountPath": "/a"}]}`,
		`{"volumes": {"9": {"name": "x", "emptyDir": {}}, "10": {"name": "y", "empty_dir": {}}}}`:                    `{"volumes": {"10": {"name": "y", "emptyDir": {}}, "9": {"name": "x", "emptyDir": {}}}}`,
		`{"init_containers": [{"$model": "V1Container", "value": {"name": "i", "image": "a{b}"}}]}`:                  `{"initContainers": [{"name": "i", "image": "a{{b}}"}]}`,
		// A null in a fragment takes a field away, which is said in other words.
		`{"extra_pod_config": {"restart_policy": null, "affinity": null, "volumes": null, "dns_policy": null, "hostPID": true}}`: `{"extraPodConfig": {"volumes": [], "restartPolicy": "Always", "hostPID": true, "affinity": {}}}`,
		`{"extra_container_config": {"env_from": [{"secretRef": {"name": "s"}}], "lifecycle": null}}`:                            `{"extraContainerConfig": {"envFrom": [{"secretRef": {"name": "s"}}], "lifecycle": {}}}`,
		`{"uid": 5, "container_security_context": {"runAsUser": null, "runAsNonRoot": true}}`:                                    `{"containerSecurityContext": {"runAsNonRoot": true}, "unset": ["uid"]}`,
		`{"storage_selector": {"matchLabels": {"a": "{username}"}}}`:                                                             `{"storageSelector": {"matchLabels": {"a": "{username}"}}}`,
	} {
		t.Run(traits, func(t *testing.T) {
			p, _ := convert(t, traits, Options{})
			assert.JSONEq(t, want, asJSON(t, p.Spec.Defaults))
			assertUsable(t, p)
		})
	}
}

// assertUsable has the engine read the policy.
func assertUsable(t *testing.T, p *v1alpha1.SpawnPolicy) {
	t.Helper()
	p = p.DeepCopy()
	p.Namespace = "ns"
	for _, e := range policy.Compile(policy.Policies{Namespaced: []v1alpha1.SpawnPolicy{*p}}).Errors() {
		t.Error(e)
	}
}

func TestWhatKubeSpawnerRefusesIsRefusedWithPathAndExpectation(t *testing.T) {
	for traits, want := range map[string]string{
		`{"mem_limit": "4 Gigs"}`:         `mem_limit: must be a size such as "2G" or "512M"`,
		`{"mem_limit": "1Gi"}`:            `mem_limit: must be a size`,
		`{"mem_limit": "1g"}`:             `mem_limit: must be a size`,
		`{"mem_limit": ""}`:               `mem_limit: must be a size`,
		`{"mem_limit": "infG"}`:           `mem_limit: must be a size`,
		`{"mem_limit": "-1G"}`:            `mem_limit: must not be negative`,
		`{"cpu_limit": "0.5"}`:            `cpu_limit: must be a number such as 0.5 or 2, not the text "0.5"`,
		`{"uid": "1000"}`:                 `uid: must be a whole number`,
		`{"uid": 1.5}`:                    `uid: must be a whole number`,
		`{"image": null}`:                 `image: must be set, not null`,
		`{"image": 1}`:                    `image: must be text, not 1`,
		`{"privileged": "true"}`:          `privileged: must be true or false`,
		`{"port": 70000}`:                 `port: must be a port from 1 to 65535`,
		`{"slug_scheme": "short"}`:        `slug_scheme: must be safe or escape`,
		`{"image_pull_policy": "always"}`: `image_pull_policy: must be Always, IfNotPresent or Never`,
		`{"volumes": "x"}`:                `volumes: must be a list, or a map whose values are the items`,
		`{"tolerations": [1]}`:            `tolerations[0]: must be a map, not 1`,
		`{"node_selector": []}`:           `node_selector: must be a map of texts, not a list`,
		`{"extra_labels": {"a": 1}}`:      `extra_labels.a: must be text (in quotes), not 1`,
		`{"environment": []}`:             `environment: must be a map of variables, not a list`,
		`{"environment": {"A": 1}}`:       `environment.A: must be text (in quotes), null, or a map`,
		`{"environment": {"A": {"value": "a", "valueFrom": {}}}}`: `environment.A: has value and valueFrom`,
		`{"environment": {"A": "${HOME}"}}`:                       `environment.A: unknown placeholder {HOME}`,
		`{"environment": {"A": "{"}}`:                             `environment.A: has a single {`,
		`{"environment": {"A": "{username!r}"}}`:                  `environment.A: {username!r} uses Python's formatting`,
		`{"pod_name_template": "{legacy_escape_username}"}`:       `{legacy_escape_username} is gone from KubeSpawner since 2018`,
		`{"dns_name_template": "{username}"}`:                     `dns_name_template: unknown placeholder {username}`,
		`{"default_url": "/x/{servername}"}`:                      `default_url: unknown placeholder {servername}`,
		`{"volumes": {"home": {"emptyDir": {}}}}`:                 `volumes.home: needs name`,
		`{"volume_mounts": [{"name": "a"}]}`:                      `volume_mounts[0]: needs mountPath`,
		`{"pod_affinity_preferred": [{"podAffinityTerm": {}}]}`:   `pod_affinity_preferred[0]: needs weight`,
		`{"pod_security_context": {"run_as_user": 1}}`:            `pod_security_context.run_as_user: must be in camelCase`,
		`{"extra_container_config": {"image": null}}`:             `extra_container_config.image: can't be null`,
		`{"extra_pod_config": {"hostPID": "yes"}}`:                `extra_pod_config: Kubernetes refuses it`,
		`{"start_timeout": "1m"}`:                                 `start_timeout: must be a whole number`,
		`{"env_keep": "PATH"}`:                                    `env_keep: must be a list of variable names`,
		`{"profile_list": 1}`:                                     `profile_list: must be a list of profiles`,
	} {
		t.Run(traits, func(t *testing.T) {
			p, findings, err := Convert(traitsOf(t, traits), Options{})
			require.ErrorContains(t, err, want)
			assert.NotEmpty(t, Problems(err))
			assert.Nil(t, p)
			assert.Nil(t, findings)
		})
	}
}

func TestAllProblemsAreTold(t *testing.T) {
	_, _, err := Convert(traitsOf(t, `{"mem_limit": "4 Gigs", "uid": "x", "profile_list": [{}], "http_timeout": "x"}`), Options{})
	require.Error(t, err)
	assert.Len(t, Problems(err), 4)
}

func TestOriginsNameWhatTheTraitsCameFrom(t *testing.T) {
	_, _, err := Convert(traitsOf(t, `{"mem_limit": "4 Gigs"}`), Options{Origins: map[string]string{"mem_limit": "singleuser.memory.limit"}})
	require.ErrorContains(t, err, "singleuser.memory.limit: must be a size")
}

func TestTheRestOfThePolicy(t *testing.T) {
	p, findings := convert(t, `{"env_keep": ["LANG", "JUPYTERHUB_SINGLEUSER_APP", "LANG"], "delete_pvc": true, "namespace": "research"}`,
		Options{Name: "course", Hub: "main", Launcher: v1alpha1.ServiceAccountRef{Namespace: "jhub", Name: "hub"}})
	assert.JSONEq(t, `{
		"apiVersion": "slipway.dev/v1alpha1", "kind": "SpawnPolicy", "metadata": {"name": "course", "namespace": "research"}, "status": {},
		"spec": {"hubs": ["main"], "deleteClaims": true, "hubEnv": ["JUPYTERHUB_*", "JPY_API_TOKEN", "LANG"],
			"launchers": [{"serviceAccount": {"namespace": "jhub", "name": "hub"}, "hubs": ["main"], "mayAssertGroups": ["*"]}]}}`, asJSON(t, p))
	assert.Contains(t, told(findings), "note: delete_pvc: the policy lets a launcher have claims deleted together with their users, as KubeSpawner does")
}

func TestWhatHasNoPlaceInAPolicyIsReported(t *testing.T) {
	for traits, want := range map[string]string{
		`{"start_timeout": 300}`:                                                      `note: start_timeout: is the hub's own business`,
		`{"consecutive_failure_limit": 5}`:                                            `note: consecutive_failure_limit: up to JupyterHub 5 a denied server counts as a failure`,
		`{"modify_pod_hook": {"$callable": "hook", "file": "c.py", "line": 3}}`:       `unmapped: modify_pod_hook: is the Python function hook (c.py:3)`,
		`{"modify_pod_hook": {"$callable": "hook", "cel": "[JSONPatch{}]"}}`:          `[JSONPatch{}]`,
		`{"uid": {"$callable": "<lambda>", "cel": "1000 + user.id"}}`:                 `uid: "1000 + user.id"`,
		`{"uid": {"$callable": "<lambda>"}}`:                                          `uid: "int(user.annotations['uid'])"`,
		`{"environment": {"A": {"$callable": "f", "cel": "user.name"}}}`:              `environment: "{'A': user.name}"`,
		`{"profile_list": {"$callable": "profiles"}}`:                                 `unmapped: profile_list: is the Python function profiles`,
		`{"group_overrides": {"a": {"groups": ["g"], "spawner_override": {}}}}`:       `unmapped: group_overrides: gives groups settings of their own`,
		`{"mem_limt": "1G"}`:                                                          `warning: mem_limt: KubeSpawner has no such trait: it logs a warning and goes on; it is left out; did you mean mem_limit?`,
		`{"memLimit": "1G"}`:                                                          `did you mean mem_limit?`,
		`{"args": ["x"]}`:                                                             `warning: args: KubeSpawner drops args where there is no cmd`,
		`{"privileged": true}`:                                                        `warning: privileged: Kubernetes refuses a privileged container`,
		`{"storage_pvc_ensure": true}`:                                                `warning: storage_pvc_ensure: a claim is made that asks for no capacity`,
		`{"storage_pvc_ensure": true, "storage_capacity": "1Gi"}`:                     `note: delete_pvc: KubeSpawner deletes a user's claim together with the user`,
		`{"service_account": "x"}`:                                                    `warning: service_account: with a service account KubeSpawner says nothing about its token`,
		`{"singleuser_lifecycle_hooks": {"postStart": {}}}`:                           `warning: singleuser_lifecycle_hooks: KubeSpawner doesn't take this old name any more`,
		`{"singleuser_image_spec": "x"}`:                                              `warning: singleuser_image_spec: KubeSpawner ignores it for the first server after a hub's start`,
		`{"user_storage_capacity": "1Gi"}`:                                            `note: user_storage_capacity: is an old name of storage_capacity`,
		`{"singleuser_uid": 1, "uid": 2}`:                                             `warning: singleuser_uid: is an old name of uid, which is set too and wins`,
		`{"hub_connect_ip": "hub"}`:                                                   `note: hub_connect_ip: is the hub's own business`,
		`{"init_containers": [{"name": "a", "imagePullSecret": "x"}]}`:                `warning: init_containers[0].imagePullSecret: Container has no field of this name`,
		`{"init_containers": [{"name": "a", "securityContext": {"run_as_user": 1}}]}`: `drops it without a word; it is called runAsUser; it is left out`,
		`{"environment": {"A": "1", "B": {"name": "A", "value": "2"}}}`:               `warning: environment.A: is the same variable as environment.B, which wins`,
		`{"init_containers": [{"$callable": "V1Container"}]}`:                         `unmapped: init_containers[0]: is a Python object (V1Container)`,
	} {
		t.Run(traits, func(t *testing.T) {
			_, findings := convert(t, traits, Options{})
			assert.Contains(t, told(findings), want)
		})
	}
}

func TestDefaultsOfTheHubNeedNoWord(t *testing.T) {
	_, findings := convert(t, `{"start_timeout": 60, "events_enabled": true, "http_timeout": 30, "poll_jitter": 0.1, "group_overrides": {}, "modify_pod_hook": null}`, Options{})
	assert.Empty(t, findings)
}

func TestOldNamesAreTaken(t *testing.T) {
	p, _ := convert(t, `{"singleuser_image_spec": "a:1", "singleuser_uid": 1, "user_storage_pvc_ensure": true, "user_storage_capacity": "1Gi",
		"singleuser_allow_privilege_escalation": true}`, Options{})
	assert.JSONEq(t, `{"image": "a:1", "uid": 1, "storagePvcEnsure": true, "storageCapacity": "1Gi"}`, asJSON(t, p.Spec.Defaults))
}

func TestWhatIsPlainlyMeantIsTakenOnRequest(t *testing.T) {
	p, findings := convert(t, `{"mem_limit": "1Gi", "cpu_limit": "500m", "environment": [{"name": "A", "value": 1}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}`,
		Options{Evident: true})
	assert.JSONEq(t, `{"memLimit": "1Gi", "cpuLimit": "500m", "environment": {"A": "1", "B": {"valueFrom": {"fieldRef": {"fieldPath": "x"}}}}}`, asJSON(t, p.Spec.Defaults))
	assert.Len(t, findings, 4)
}

func TestAMapsKeysKeepTheirOrder(t *testing.T) {
	var o Object
	require.NoError(t, json.Unmarshal([]byte(`{"b": 1, "a": {"d": 2.0, "c": "<"}, "b": 3}`), &o))
	assert.Equal(t, []string{"b", "a"}, o.Keys())
	data, err := o.MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, []byte(`{"b":3,"a":{"d":2,"c":"<"}}`), data)
	require.Error(t, json.Unmarshal([]byte(`[1]`), &o))
}

func TestNamesOfTheFirstLevelInPython(t *testing.T) {
	for camel, snake := range map[string]string{
		"mountPath": "mount_path", "hostIPC": "host_ipc", "hostPID": "host_pid", "setHostnameAsFQDN": "set_hostname_as_fqdn",
		"downwardAPI": "downward_api", "scaleIO": "scale_io", "awsElasticBlockStore": "aws_elastic_block_store", "name": "name",
	} {
		assert.Equal(t, snake, snakeCase(camel))
	}
}
