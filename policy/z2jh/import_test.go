package z2jh

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// derived gives one trait of values over the chart's defaults, as JSON.
func derived(t *testing.T, values string, o Options, trait string) string {
	t.Helper()
	traits, err := Traits([][]byte{[]byte(values)}, []string{"values.yaml"}, o)
	require.NoError(t, err)
	v, has := traits[trait]
	if !has {
		return "unset"
	}
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

func told(t *testing.T, values string, o Options) string {
	t.Helper()
	_, findings, err := Import([][]byte{[]byte(values)}, []string{"values.yaml"}, o)
	require.NoError(t, err)
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func assertTrait(t *testing.T, want, got string) {
	t.Helper()
	if want == "unset" || got == "unset" {
		assert.Equal(t, want, got)
		return
	}
	assert.JSONEq(t, want, got)
}

func TestValuesBecomeTraits(t *testing.T) {
	for _, c := range []struct{ values, trait, want string }{
		{``, "image", `"quay.io/jupyterhub/k8s-singleuser-sample:set-by-chartpress"`},
		{`singleuser: {image: {name: a, tag: b}}`, "image", `"a:b"`},
		{`singleuser: {image: {name: a@sha256, tag: "0123"}}`, "image", `"a@sha256:0123"`},
		{`singleuser: {image: {name: a, tag: ""}}`, "image", `"a"`},
		{`singleuser: {image: {name: ""}}`, "image", `unset`},
		{`singleuser: {image: {pullPolicy: ""}}`, "image_pull_policy", `""`},
		{``, "cmd", `"jupyterhub-singleuser"`},
		{`singleuser: {cmd: null}`, "cmd", `unset`},
		{`singleuser: {cmd: start.sh jupyterhub-singleuser}`, "cmd", `"start.sh jupyterhub-singleuser"`},
		{`singleuser: {uid: null}`, "uid", `unset`},
		{`singleuser: {uid: 1000650000}`, "uid", `1000650000`},
		{`singleuser: {fsGid: 0}`, "fs_gid", `0`},
		{`singleuser: {allowPrivilegeEscalation: null}`, "allow_privilege_escalation", `null`},
		{``, "mem_guarantee", `"1G"`},
		{`singleuser: {memory: {guarantee: null, limit: 2G}}`, "mem_guarantee", `unset`},
		{`singleuser: {cpu: {limit: 2.0}}`, "cpu_limit", `2`},
		{`singleuser: {extraLabels: {a: b}}`, "extra_labels", `{"a": "b", "hub.jupyter.org/network-access-hub": "true"}`},
		{`singleuser: {extraLabels: {hub.jupyter.org/network-access-hub: null}}`, "extra_labels", `{}`},
		{`singleuser: {extraEnv: {A: null, B: {value: x}}}`, "environment", `{"A": null, "B": {"value": "x"}}`},
		{`singleuser: {events: false}`, "events_enabled", `false`},
		{`debug: {enabled: true}`, "debug", `true`},
		{`singleuser: {defaultUrl: /lab}`, "default_url", `"/lab"`},
		// YAML as Helm reads it.
		{`singleuser: {extraEnv: {A: "yes"}, allowPrivilegeEscalation: yes}`, "allow_privilege_escalation", `true`},
		{"singleuser: {nodeSelector: {on: 'x', 0x10: z}}", "node_selector", `{"true": "x", "16": "z"}`},
		{"custom: {a: &a {limit: 1G}}\nsingleuser: {memory: *a}", "mem_limit", `"1G"`},
		{"custom: {a: &a {limit: 1G}}\nsingleuser: {memory: {<<: *a, guarantee: 2G}}", "mem_limit", `"1G"`},
		// Pull secrets: order and duplicates stay.
		{`{imagePullSecret: {create: true}, imagePullSecrets: [a, {name: b}], singleuser: {image: {pullSecrets: [c, a]}}}`, "image_pull_secrets", `["image-pull-secret", "a", {"name": "b"}, "c", "a"]`},
		{`{imagePullSecret: {create: true, automaticReferenceInjection: false}}`, "image_pull_secrets", `unset`},
		// Scheduling.
		{`scheduling: {userPods: {tolerations: []}}`, "tolerations", `unset`},
		{`{scheduling: {userPods: {tolerations: [{operator: Exists}]}}, singleuser: {extraTolerations: [{key: a}]}}`, "tolerations", `[{"operator": "Exists"}, {"key": "a"}]`},
		{`scheduling: {userPods: {nodeAffinity: {matchNodePurpose: ignore}}}`, "node_affinity_preferred", `[]`},
		{`{scheduling: {userPods: {nodeAffinity: {matchNodePurpose: require}}}, singleuser: {extraNodeAffinity: {required: [{matchExpressions: []}]}}}`, "node_affinity_required",
			`[{"matchExpressions": []}, {"matchExpressions": [{"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}]}]`},
		{`scheduling: {userScheduler: {enabled: false}}`, "scheduler_name", `unset`},
		{`scheduling: {podPriority: {enabled: true}}`, "priority_class_name", `"priority"`},
		// The metadata block comes last, and its text is no template.
		{`singleuser: {cloudMetadata: {blockWithIptables: false}, initContainers: [{name: a}]}`, "init_containers", `[{"name": "a"}]`},
		{`singleuser: {initContainers: [{name: a}], networkTools: {image: {name: i, tag: t}, resources: {limits: {cpu: 1}}}}`, "init_containers",
			`[{"name": "a"}, {"$model": "V1Container", "value": {"name": "block-cloud-metadata", "image": "i:t", "resources": {"limits": {"cpu": 1}},
			"command": ["iptables", "--append", "OUTPUT", "--protocol", "tcp", "--destination", "169.254.169.254", "--destination-port", "80", "--jump", "DROP"],
			"securityContext": {"privileged": true, "runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}}}]`},
		// hub.config replaces, and KubeSpawner beats Spawner.
		{`hub: {config: {KubeSpawner: {gid: 5}}}`, "gid", `5`},
		{`hub: {config: {KubeSpawner: {cmd: [a]}, Spawner: {cmd: [b]}}}`, "cmd", `["a"]`},
		{`hub: {config: {Spawner: {cmd: [b]}}}`, "cmd", `["b"]`},
		{`hub: {config: {Spawner: {mem_guarantee: 2G}}}`, "mem_guarantee", `"1G"`},
		{`hub: {config: {KubeSpawner: {init_containers: []}}}`, "init_containers", `[]`},
		{`{singleuser: {uid: null}, hub: {config: {Spawner: {singleuser_uid: 7}}}}`, "singleuser_uid", `unset`},
		{`{singleuser: {uid: null}, hub: {config: {KubeSpawner: {singleuser_uid: 7}}}}`, "singleuser_uid", `7`},
	} {
		t.Run(c.values+" "+c.trait, func(t *testing.T) {
			assertTrait(t, c.want, derived(t, c.values, Options{}, c.trait))
		})
	}
}

func TestStorage(t *testing.T) {
	const home = `"volume-{user_server}": {"name": "volume-{user_server}", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}`
	const mount = `"volume-{user_server}": {"name": "volume-{user_server}", "mountPath": "/home/jovyan"}`
	for _, c := range []struct{ storage, trait, want string }{
		{`{}`, "volumes", `{` + home + `}`},
		{`{}`, "volume_mounts", `{` + mount + `}`},
		{`{}`, "storage_pvc_ensure", `true`},
		{`{}`, "storage_capacity", `"10Gi"`},
		{`{capacity: null}`, "storage_capacity", `unset`},
		{`{dynamic: {storageClass: ""}}`, "storage_class", `""`},
		{`{dynamic: {pvcNameTemplate: "claim-{username}"}}`, "pvc_name_template", `"claim-{username}"`},
		{`{dynamic: {subPath: "{username}/home"}}`, "volume_mounts", `{"volume-{user_server}": {"name": "volume-{user_server}", "mountPath": "/home/jovyan", "subPath": "{username}/home"}}`},
		{`{type: static, static: {pvcName: nfs}}`, "volumes", `{"home": {"name": "home", "persistentVolumeClaim": {"claimName": "nfs"}}}`},
		{`{type: static, static: {pvcName: nfs}}`, "volume_mounts", `{"home": {"name": "home", "mountPath": "/home/jovyan", "subPath": "{username}"}}`},
		{`{type: static, static: {pvcName: nfs}}`, "storage_pvc_ensure", `unset`},
		{`{type: none}`, "volumes", `{}`},
		{`{extraVolumes: [{name: shm, emptyDir: {}}]}`, "volumes", `{` + home + `, "shm": {"name": "shm", "emptyDir": {}}}`},
		{`{extraVolumeMounts: [{name: shm, mountPath: /dev/shm}]}`, "volume_mounts", `{` + mount + `, "0-shm": {"name": "shm", "mountPath": "/dev/shm"}}`},
		{`{extraVolumes: {zz: {name: shm, emptyDir: {}}}}`, "volumes", `{` + home + `, "zz": {"name": "shm", "emptyDir": {}}}`},
		{`{extraVolumes: [{name: "volume-{user_server}", emptyDir: {}}]}`, "volumes", `{"volume-{user_server}": {"name": "volume-{user_server}", "emptyDir": {}}}`},
	} {
		t.Run(c.storage+" "+c.trait, func(t *testing.T) {
			assertTrait(t, c.want, derived(t, "singleuser: {storage: "+c.storage+"}", Options{}, c.trait))
		})
	}
	assert.Contains(t, told(t, `singleuser: {storage: {extraVolumes: [{name: "volume-{user_server}", emptyDir: {}}]}}`, Options{}), "replaces what the chart itself makes under the key volume-{user_server}")
	assert.Contains(t, told(t, `singleuser: {storage: {type: static}}`, Options{}), "singleuser.storage.static.pvcName: isn't set, so that Kubernetes refuses every pod")
}

func TestExtraFilesAreMountedFromTheChartsSecret(t *testing.T) {
	const values = `singleuser: {extraFiles: {b: {mountPath: /b.json, data: {x: 1}, mode: 0400}, a: {mountPath: /a, stringData: x}}, storage: {type: none}}`
	assert.JSONEq(t, `{"files": {"name": "files", "secret": {"secretName": "singleuser", "items": [{"key": "a", "path": "a"}, {"key": "b", "path": "b", "mode": 256}]}}}`,
		derived(t, values, Options{}, "volumes"))
	assert.JSONEq(t, `{"0-files": {"name": "files", "mountPath": "/a", "subPath": "a"}, "1-files": {"name": "files", "mountPath": "/b.json", "subPath": "b"}}`,
		derived(t, values, Options{}, "volume_mounts"))
	findings := told(t, values, Options{})
	assert.Contains(t, findings, "the content of 2 file(s) stays in the Secret singleuser")
	assert.NotContains(t, findings, "stringData")

	// Where the content is kept apart, as secret content is, the file is mounted all the same.
	const apart = `singleuser: {extraFiles: {key: {mountPath: /key}}, storage: {type: none}}`
	assert.JSONEq(t, `{"0-files": {"name": "files", "mountPath": "/key", "subPath": "key"}}`, derived(t, apart, Options{}, "volume_mounts"))
	assert.Contains(t, told(t, apart, Options{}), "singleuser.extraFiles.key: has no content (data, stringData or binaryData) in these values")
}

// Helm completes what a file leaves out, and a null takes away; what the rest of the chart needs is no reason to refuse.
func TestPartOfAValueIsEnoughWhereTheChartHasTheRest(t *testing.T) {
	for _, values := range []string{
		`proxy: {chp: {image: {tag: "5"}}, traefik: {serviceAccount: {annotations: {a: b}}}, service: {type: null}}`,
		`hub: {image: {name: a}, config: null}`,
		`hub: {config: {GitHubOAuthenticator: null}}`,
		`{httpRoute: {gateway: {namespace: a}}, prePuller: {hook: {image: {tag: "1"}, enabled: null}}}`,
	} {
		assert.Equal(t, `"jupyterhub-singleuser"`, derived(t, values, Options{}, "cmd"), values)
	}
	_, err := Traits([][]byte{[]byte(`singleuser: {image: {name: null}}`)}, []string{"v"}, Options{})
	require.ErrorContains(t, err, "singleuser.image: needs name: Helm refuses it without")
}

func TestNamesHoldTheReleases(t *testing.T) {
	for _, c := range []struct{ values, release, scheduler, priority, secret string }{
		{``, "rel", "rel-user-scheduler", "rel-default-priority", "image-pull-secret"},
		{`fullnameOverride: x`, "rel", "x-user-scheduler", "x", "x-image-pull-secret"},
		{`{fullnameOverride: null}`, "rel", "rel-jupyterhub-user-scheduler", "rel-jupyterhub", "rel-jupyterhub-image-pull-secret"},
		{`{fullnameOverride: null}`, "my-jupyterhub", "my-jupyterhub-user-scheduler", "my-jupyterhub", "my-jupyterhub-image-pull-secret"},
		{`{fullnameOverride: null, nameOverride: hub}`, "rel", "rel-hub-user-scheduler", "rel-hub", "rel-hub-image-pull-secret"},
		{`{fullnameOverride: null, nameOverride: ""}`, "rel", "rel-jupyterhub-user-scheduler", "rel-jupyterhub", "rel-jupyterhub-image-pull-secret"},
	} {
		t.Run(c.values+" "+c.release, func(t *testing.T) {
			values := c.values + "\n"
			if strings.HasPrefix(values, "{") {
				values = strings.TrimSuffix(strings.TrimSpace(values), "}") + ", scheduling: {podPriority: {enabled: true}}, imagePullSecret: {create: true}}"
			} else {
				values += "scheduling: {podPriority: {enabled: true}}\nimagePullSecret: {create: true}\n"
			}
			o := Options{Release: c.release}
			assert.Equal(t, `"`+c.scheduler+`"`, derived(t, values, o, "scheduler_name"))
			assert.Equal(t, `"`+c.priority+`"`, derived(t, values, o, "priority_class_name"))
			assert.Equal(t, `["`+c.secret+`"]`, derived(t, values, o, "image_pull_secrets"))
		})
	}
}

func TestLabelsByWhichNetworkPoliciesSelect(t *testing.T) {
	assert.JSONEq(t, `{"app": "jupyterhub", "app.kubernetes.io/name": "jupyterhub", "release": "rel", "app.kubernetes.io/instance": "rel", "app.kubernetes.io/managed-by": "kubespawner"}`,
		derived(t, ``, Options{Release: "rel"}, "common_labels"))
	assert.JSONEq(t, `{"app": "hub", "app.kubernetes.io/name": "hub", "chart": "jupyterhub-4.4.0_x", "helm.sh/chart": "jupyterhub-4.4.0_x", "app.kubernetes.io/managed-by": "kubespawner"}`,
		derived(t, `nameOverride: hub`, Options{ChartVersion: "4.4.0+x"}, "common_labels"))
	assert.Contains(t, told(t, ``, Options{}), "warning: release: the Helm release's name isn't known here")
	assert.NotContains(t, told(t, ``, Options{Release: "rel", ChartVersion: "4.4.0"}), "isn't known here")
}

func TestTheHubsServiceAccountLaunches(t *testing.T) {
	for values, want := range map[string]string{
		``:                                       "hub",
		`fullnameOverride: x`:                    "x-hub",
		`hub: {serviceAccount: {name: own}}`:     `own`,
		`hub: {serviceAccount: {create: false}}`: `default`,
		`hub: {serviceAccount: {create: false, name: own}}`: `own`,
	} {
		p, _, err := Import([][]byte{[]byte(values)}, []string{"values.yaml"}, Options{Namespace: "ns"})
		require.NoError(t, err)
		assert.Equal(t, want, p.Spec.Launchers[0].ServiceAccount.Name, values)
		assert.Equal(t, "ns", p.Spec.Launchers[0].ServiceAccount.Namespace)
		assert.Equal(t, "ns", p.Namespace)
	}
}

func TestOlderChartsHadOtherRules(t *testing.T) {
	old := Options{ChartVersion: "3.3.8", Release: "rel"}
	assert.Equal(t, `"escape"`, derived(t, ``, old, "slug_scheme"))
	assert.Equal(t, `"claim-{username}{servername}"`, derived(t, ``, old, "pvc_name_template"))
	assert.Equal(t, `"jupyter-{username}--{servername}"`, derived(t, ``, old, "pod_name_template"))
	assert.JSONEq(t, `{"app": "jupyterhub", "heritage": "jupyterhub", "chart": "jupyterhub-3.3.8", "release": "rel"}`, derived(t, ``, old, "common_labels"))
	assert.JSONEq(t, `[{"name": "volume-{username}{servername}", "persistentVolumeClaim": {"claimName": "claim-{username}{servername}"}}, {"name": "z", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]`,
		derived(t, `singleuser: {storage: {extraVolumes: [{name: z, emptyDir: {}}, {name: a, emptyDir: {}}]}}`, old, "volumes"))
	assert.Equal(t, `"jupyterhub/k8s-singleuser-sample:2.0.0"`, derived(t, ``, Options{ChartVersion: "2.0.0"}, "image"))

	_, err := Traits([][]byte{[]byte(`singleuser: {storage: {dynamic: {pvcNameTemplate: null}}}`)}, []string{"v"}, old)
	require.ErrorContains(t, err, "singleuser.storage.dynamic.pvcNameTemplate: must not be null or empty: before 4.0 the chart needs it")
	const block = `singleuser: {cloudMetadata: {ip: 10.0.0.1}}`
	assert.Contains(t, derived(t, block, Options{ChartVersion: "2.0.0"}, "init_containers"), `["iptables","-A","OUTPUT","-d","10.0.0.1","-j","DROP"]`)
	assert.Contains(t, derived(t, block, Options{ChartVersion: "3.0.0"}, "init_containers"), `"10.0.0.1","--destination-port","80"`)

	between := Options{ChartVersion: "4.0.0"}
	assert.Equal(t, "unset", derived(t, ``, between, "pvc_name_template"))
	assert.JSONEq(t, `[{"name": "volume-{user_server}", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}]`, derived(t, ``, between, "volumes"))
	assert.Equal(t, `"quay.io/jupyterhub/k8s-singleuser-sample:4.0.0"`, derived(t, ``, between, "image"))

	_, err = Traits(nil, nil, Options{ChartVersion: "new"})
	require.ErrorContains(t, err, `chart version "new": must be a version such as 4.4.0`)
	_, err = Traits([][]byte{[]byte(`singleuser: {storage: {extraVolumes: {a: {name: a}}}}`)}, []string{"v"}, between)
	require.ErrorContains(t, err, "must be a list: a map is understood by the chart from 4.3 on")
}

func TestSeveralFilesMergeAsHelmDoes(t *testing.T) {
	files := [][]byte{
		[]byte("singleuser: {extraEnv: {A: '1', B: '2'}, extraTolerations: [{key: a}], nodeSelector: {x: z}, memory: {limit: 1G}, fsGid: 5}"),
		[]byte("singleuser: {extraEnv: {B: '3', C: null}, extraTolerations: [{key: b}], memory: null, fsGid: null}"),
	}
	traits, err := Traits(files, []string{"a.yaml", "b.yaml"}, Options{})
	require.NoError(t, err)
	data, err := json.Marshal(traits)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(data, &got))
	assert.Equal(t, map[string]any{"A": "1", "B": "3", "C": nil}, got["environment"])
	assert.Len(t, got["tolerations"], 3)
	assert.Equal(t, map[string]any{"x": "z"}, got["node_selector"])
	assert.NotContains(t, got, "mem_limit")
	assert.NotContains(t, got, "mem_guarantee", "null takes the chart's default away")
	assert.NotContains(t, got, "fs_gid")
}

func TestValuesOfAChartThatContainsThisOne(t *testing.T) {
	for _, values := range []string{
		"jupyterhub: {singleuser: {uid: 7}}",
		"basehub: {jupyterhub: {singleuser: {uid: 7}}, other: 1}",
		"nfs: {enabled: true}\njupyterhub: {singleuser: {uid: 7}}\nglobal: {}\n",
		"ingress: {enabled: true}\njupyterhub: {singleuser: {uid: 7}}\n",
		"ingress: {enabled: true}\nbinderhub: {ingress: {}, jupyterhub: {singleuser: {uid: 7}}}\n",
		"daskhub: {basehub: {jupyterhub: {singleuser: {uid: 7}}}}",
	} {
		assert.Equal(t, "7", derived(t, values, Options{}, "uid"), values)
		assert.Contains(t, told(t, values, Options{}), "the file is a parent chart's, whose subchart this is")
	}
}

func TestHelmSortsWhatAProfileOffers(t *testing.T) {
	const values = `singleuser: {profileList: [{display_name: p, profile_options: {z: {choices: {w: {}, v: {}}}, b: {choices: {c: {default: true}, a: {}}}}}]}`
	p, _, err := Import([][]byte{[]byte(values)}, []string{"values.yaml"}, Options{})
	require.NoError(t, err)
	assert.JSONEq(t, `[{"name": "b", "choices": [{"name": "a"}, {"name": "c", "default": true}]}, {"name": "z", "choices": [{"name": "v"}, {"name": "w"}]}]`,
		string(p.Spec.Profiles[0].Options.Raw))
	findings := told(t, values, Options{})
	assert.Contains(t, findings, "values.yaml:1: singleuser.profileList[0].profile_options.z.choices: no choice is the default, and Helm sorts them by key: v is the default, not w")
	assert.NotContains(t, findings, "profile_options.b.choices: no choice")
}

func TestHelmSortsByTheSizeOfNumbers(t *testing.T) {
	for _, c := range []struct{ first, second string }{
		{"mem_8", "mem_16"},
		{"mem_3_7", "mem_30_4"},
		{"x9", "x10a"},
		{"x", "x1"},
		{"a1", "aa"},
		{"a-b", "a_b"},
		{"B", "a"},
		{"a0", "a00"},
		{"a1", "a01"},
		{"a100", "a1000"},
		{"a105", "a1010"},
		{"2-é", "10-a"},
	} {
		o := sortedByHelm(object(c.second, 1, c.first, 1))
		assert.Equal(t, []string{c.first, c.second}, o.Keys())
		assert.Equal(t, o, sortedByHelm(o))
	}
	const values = `singleuser: {extraFiles: {a10: {mountPath: /b, stringData: x}, a9: {mountPath: /a, stringData: x}}, storage: {type: none}}`
	assert.JSONEq(t, `{"0-files": {"name": "files", "mountPath": "/a", "subPath": "a9"}, "1-files": {"name": "files", "mountPath": "/b", "subPath": "a10"}}`,
		derived(t, values, Options{}, "volume_mounts"))
}

func TestWhatTheChartLosesIsTold(t *testing.T) {
	for values, want := range map[string]string{
		`hub: {config: {KubeSpawner: {init_containers: []}}}`:                                                                         `hub.config.KubeSpawner.init_containers: replaces the chart's whole value and drops the init container that blocks`,
		`hub: {config: {KubeSpawner: {extra_labels: {a: b}}}}`:                                                                        `drops the label hub.jupyter.org/network-access-hub`,
		`hub: {config: {KubeSpawner: {common_labels: {a: b}}}}`:                                                                       `drops the labels app and release`,
		`hub: {config: {KubeSpawner: {volumes: []}}}`:                                                                                 `drops the home volume`,
		`hub: {config: {KubeSpawner: {volume_mounts: []}}}`:                                                                           `drops the mount of the user's home`,
		`hub: {config: {KubeSpawner: {node_affinity_preferred: []}}}`:                                                                 `drops the node purpose`,
		`hub: {config: {KubeSpawner: {tolerations: []}}}`:                                                                             `drops the chart's tolerations`,
		`hub: {config: {Spawner: {mem_guarantee: 2G}}}`:                                                                               `hub.config.Spawner.mem_guarantee: has no effect`,
		`hub: {config: {Spawner: {image_spec: x}}}`:                                                                                   `hub.config.Spawner.image_spec: has no effect: KubeSpawner looks for old names`,
		`hub: {config: {JupyterHub: {spawner_class: x.Y}}}`:                                                                           `unmapped: values.yaml:1: hub.config.JupyterHub.spawner_class: the hub doesn't use KubeSpawner itself but x.Y`,
		`hub: {config: {BinderSpawner: {a: 1}}}`:                                                                                      `unmapped: values.yaml:1: hub.config.BinderSpawner: concerns a spawner class of its own`,
		`hub: {extraConfig: {a: "c.KubeSpawner.uid = f\nc.Spawner.cmd = []"}}`:                                                        `hub.extraConfig.a: is Python that runs in the hub after everything else, and can't be run here; it sets cmd, uid`,
		`{hub: {extraConfig: {a: 'get_config("custom.x")'}}, custom: {x: 1}}`:                                                         `custom: is read by hub.extraConfig`,
		`hub: {existingSecret: s}`:                                                                                                    `hub.existingSecret: the Secret s may hold values.yaml`,
		`hub: {extraFiles: {f: {mountPath: /usr/local/etc/jupyterhub/jupyterhub_config.d/a.py, stringData: x}}}`:                      `hub.extraFiles.f: is Python that the hub runs as configuration`,
		`{singleuser: {extraNodeAffinity: {required: [{}]}}, scheduling: {userPods: {nodeAffinity: {matchNodePurpose: require}}}}`:    `Kubernetes joins required terms by OR`,
		`singleuser: {initContainers: [{name: a}]}`:                                                                                   `the init containers of singleuser.initContainers run before the block`,
		`singleuser: {extraLabels: {hub.jupyter.org/network-access-hub: null}}`:                                                       `the label hub.jupyter.org/network-access-hub isn't "true"`,
		`singleuser: {extraLabels: {hub.jupyter.org/network-access-proxy-api: "true"}}`:                                               `lets users' code reach parts of the hub`,
		`singleuser: {profileList: [{display_name: a, kubespawner_override: {init_containers: []}}]}`:                                 `singleuser.profileList[0].kubespawner_override.init_containers: replaces the chart's whole value`,
		`singleuser: {profileList: [{display_name: a, kubespawner_override: {tolerations: {a: {operator: Exists}}}}]}`:                `tolerations: replaces the chart's whole value`,
		`singleuser: {profileList: [{display_name: a, profile_options: {o: {choices: {c: {kubespawner_override: {volumes: []}}}}}}]}`: `choices.c.kubespawner_override.volumes: replaces`,
		`singleuser: {profileList: [{display_name: a, kubespawner_override: {common_labels: {app: null}}}]}`:                          `takes away a label`,
		`singleuser: {image: {tag: ""}}`:                                                                                              `without a tag the chart's image puller is no valid YAML`,
		`{imagePullSecret: {create: true, enabled: true}}`:                                                                            `imagePullSecret.enabled: the chart has no such value, and Helm refuses it together with create: true`,
		"singleuser:\n  uid: 1\n  uid: 2\n":                                                                                           `warning: values.yaml:3: singleuser.uid: stands in line 2 already; Helm takes the last one`,
	} {
		t.Run(values, func(t *testing.T) {
			assert.Contains(t, told(t, values, Options{}), want)
		})
	}
	assert.NotContains(t, told(t, `singleuser: {profileList: [{display_name: a, kubespawner_override: {volumes: {x: {name: x, emptyDir: {}}}}}]}`, Options{}), "replaces", "a map merges into the chart's map")
}

func TestPasswordsStayOut(t *testing.T) {
	const values = `imagePullSecret: {create: true, registry: r, username: u, password: very-secret}`
	p, _, err := Import([][]byte{[]byte(values)}, []string{"values.yaml"}, Options{})
	require.NoError(t, err)
	data, err := json.Marshal(p)
	require.NoError(t, err)
	assert.NotContains(t, string(data)+told(t, values, Options{}), "very-secret")
}

func TestWhatHelmOrTheHubRefuse(t *testing.T) {
	for values, want := range map[string]string{
		"singleuser:\n\tuid: 1\n":                                      `values.yaml:2: is no YAML: found character that cannot start any token (YAML is indented with spaces, never with tabs)`,
		"singleuser: {":                                                `is no YAML`,
		"- a\n":                                                        `values.yaml:1: must be a map of values`,
		"singleuser:\n  unknown: 1\n":                                  `values.yaml:2: singleuser.unknown: the chart has no such value, and Helm refuses it`,
		"singleuser:\n  extra_env: {}\n":                               `did you mean extraEnv?`,
		"singelUser: {}":                                               `singelUser: the chart has no such value`,
		"singleuser: {cpu: {limit: 500m}}":                             `singleuser.cpu.limit: must be a number or null, not the text "500m"`,
		"singleuser: {memory: {limit: 4 Gigs}}":                        `values.yaml:1: singleuser.memory.limit: must be a size such as "2G"`,
		"singleuser: {extraTolerations: {a: b}}":                       `singleuser.extraTolerations: must be a list, not a map`,
		"singleuser: {extraTolerations: null}":                         `singleuser.extraTolerations: must not be null`,
		"singleuser: {cloudMetadata: null}":                            `singleuser.cloudMetadata: must not be null`,
		"singleuser: {storage: {type: cloud}}":                         `singleuser.storage.type: must be one of "dynamic", "static", "none", not "cloud"`,
		"singleuser: {storage: {type: null}}":                          `singleuser.storage: needs type`,
		"singleuser: {storage: {dynamic: {volumeNameTemplate: null}}}": `singleuser.storage.dynamic.volumeNameTemplate: must not be null or empty`,
		"singleuser: {storage: {extraVolumes: {a: {emptyDir: {}}}}}":   `singleuser.storage.extraVolumes.a: needs name`,
		"singleuser: {storage: {extraVolumes: [{emptyDir: {}}]}}":      `singleuser.storage.extraVolumes[0]: needs name`,
		"singleuser: {storage: {extraVolumeMounts: {'volume-{user_server}': {readOnly: true}}}}":            `needs name`,
		"singleuser: {extraFiles: {a: {mountPath: /a, stringData: x, binaryData: eA==}}}":                   `must have exactly one of data, stringData and binaryData, and has 2`,
		"singleuser: {extraFiles: {a: {mountPath: /a, data: {x: 1}}}}":                                      `must end in .yaml, .yml, .json or .toml`,
		"singleuser: {extraFiles: {'a b': {mountPath: /a, stringData: x}}}":                                 `is no legal key of a Secret`,
		"singleuser: {extraFiles: {a: {mountPath: /a, stringData: x, mode: '0644'}}}":                       `singleuser.extraFiles.a.mode: must be a number`,
		"singleuser: {extraEnv: [{name: A, value: b}]}":                                                     `singleuser.extraEnv: must be a map of variables, not a list`,
		"singleuser: {extraEnv: {A: 1}}":                                                                    `singleuser.extraEnv.A: must be text (in quotes)`,
		"singleuser: {extraEnv: {A: '{nope}'}}":                                                             `singleuser.extraEnv.A: unknown placeholder {nope}`,
		"singleuser: {networkPolicy: {egressAllowRules: {cloudMetadataServer: true}}}":                      `contradicts singleuser.networkPolicy.egressAllowRules.cloudMetadataServer: true`,
		"hub: {config: {kubeSpawner: {}}}":                                                                  `hub.config.kubeSpawner: must be the name of a Python class`,
		"hub:\n  config:\n    KubeSpawner:\n      mem_limit: 1Gi\n":                                         `values.yaml:4: hub.config.KubeSpawner.mem_limit: must be a size`,
		"singleuser: {profileList: [{display_name: A}, {display_name: a}]}":                                 `singleuser.profileList[1]: has the slug "a", as singleuser.profileList[0] has`,
		"singleuser:\n  profileList:\n  - display_name: A\n    kubespawner_override:\n      mem_limit: x\n": `values.yaml:5: singleuser.profileList[0].kubespawner_override.mem_limit: must be a size`,
		"singleuser: {uid: .inf}":                                                                           `.inf is no number that Helm can pass on`,
		"custom: {a: &a [*a]}":                                                                              `is nested too deeply`,
	} {
		t.Run(values, func(t *testing.T) {
			p, findings, err := Import([][]byte{[]byte(values)}, []string{"values.yaml"}, Options{})
			require.ErrorContains(t, err, want)
			assert.Nil(t, p)
			assert.Nil(t, findings)
		})
	}
}

func TestAllThatHelmRefusesIsTold(t *testing.T) {
	_, _, err := Import([][]byte{[]byte("singleuser: {a: 1, uid: x}\nfoo: 1\n")}, []string{"values.yaml"}, Options{})
	assert.Len(t, kubespawner.Problems(err), 3)
}

func TestEvidentMeaningOnRequest(t *testing.T) {
	p, _, err := Import([][]byte{[]byte("singleuser: {memory: {limit: 4Gi}, extraEnv: [{name: A, value: b}]}")}, []string{"values.yaml"}, Options{Evident: true})
	require.NoError(t, err)
	assert.Equal(t, "4Gi", p.Spec.Defaults.MemLimit.String())
	assert.JSONEq(t, `{"A": "b"}`, string(p.Spec.Defaults.Environment.Raw))
}
