package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// attacks are everything that a namespace may write against what the cluster enforces.
var attacks = map[string]string{
	"defaults": `{defaults: {image: evil, privileged: true, allowPrivilegeEscalation: true, uid: 0, memLimit: 64Gi,
		nodeSelector: {pool: gpu}, serviceAccount: admin, automountServiceAccountToken: true, tolerations: [{operator: Exists}],
		environment: {HTTP_PROXY: evil}, volumes: {home: {hostPath: {path: /}}}, volumeMounts: {home: {mountPath: /etc}}}}`,
	"enforced": `{enforced: {image: evil, privileged: true, allowPrivilegeEscalation: true, uid: 0, memLimit: 64Gi,
		nodeSelector: {pool: gpu}, serviceAccount: admin, automountServiceAccountToken: true, tolerations: [{operator: Exists}],
		environment: {HTTP_PROXY: evil}, volumes: {home: {hostPath: {path: /}}}}}`,
	"unset": `{defaults: {unset: [image, nodeSelector, memLimit, uid, serviceAccount, environment, volumes, tolerations]},
		enforced: {unset: [privileged, nodeSelector, 'environment[HTTP_PROXY]', 'volumes[home]', tolerations]}}`,
	"extraPodConfig": `{defaults: {extraPodConfig: {containers: [{name: notebook, image: evil, securityContext: {privileged: true, runAsUser: 0}}],
		nodeSelector: {pool: gpu}, serviceAccountName: admin, automountServiceAccountToken: true, tolerations: [{operator: Exists}],
		volumes: [{name: home, hostPath: {path: /}}]}}}`,
	"enforced extraPodConfig": `{enforced: {extraPodConfig: {containers: [{name: first, image: evil}, {name: notebook, image: evil, securityContext: {privileged: true, runAsUser: 0}}],
		nodeSelector: {}, serviceAccountName: admin, tolerations: [], volumes: []}}}`,
	"extraContainerConfig": `{defaults: {extraContainerConfig: {image: evil, securityContext: {privileged: true, runAsUser: 0, allowPrivilegeEscalation: true},
		resources: {limits: {memory: 64Gi}}, command: [sh], env: [{name: HTTP_PROXY, value: evil}]}}}`,
	"extraContainers":          `{defaults: {extraContainers: [{name: side, image: x, securityContext: {privileged: true, allowPrivilegeEscalation: true}}]}}`,
	"initContainers":           `{defaults: {initContainers: [{name: init, image: x, securityContext: {privileged: true}}, {name: sidecar, image: x, restartPolicy: Always, securityContext: {privileged: true}}]}}`,
	"containerSecurityContext": `{defaults: {containerSecurityContext: {privileged: true, runAsUser: 0, allowPrivilegeEscalation: true}}}`,
	"extra resources":          `{defaults: {extraResourceLimits: {memory: 64Gi}}}`,
	"profile":                  `{profiles: [{slug: a, settings: {image: evil, privileged: true, uid: 0, extraPodConfig: {nodeSelector: {pool: gpu}}}}]}`,
	"other notebook config":    `{enforced: {extraContainerConfig: {securityContext: {}, env: [], resources: {}, image: evil}}}`,
}

const enforcing = `{enforced: {image: good, cmd: [start], privileged: false, allowPrivilegeEscalation: false, uid: 1000, memLimit: 1Gi, nodeSelector: {pool: users},
	serviceAccount: user, automountServiceAccountToken: false, tolerations: [{key: users, operator: Exists}], environment: {HTTP_PROXY: good},
	volumes: {home: {emptyDir: {}}}, volumeMounts: {home: {mountPath: /home}}}}`

func TestNothingInANamespaceUndoesWhatTheClusterEnforces(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+clusterwide("e", enforcing)+namespaced("n", attack))
			pod := fitted(t, c, aliceIn("research")).Pod
			nb := notebook(pod)
			assert.Equal(t, "good", nb.Image)
			assert.Empty(t, nb.Command)
			assert.Equal(t, []string{"start"}, nb.Args)
			require.NotNil(t, nb.SecurityContext)
			assert.Equal(t, int64(1000), *nb.SecurityContext.RunAsUser)
			limit := nb.Resources.Limits[corev1.ResourceMemory]
			assert.Equal(t, "1Gi", limit.String())
			assert.Equal(t, "users", pod.Spec.NodeSelector["pool"])
			assert.Equal(t, "user", pod.Spec.ServiceAccountName)
			assert.False(t, *pod.Spec.AutomountServiceAccountToken)
			assert.Equal(t, []corev1.Toleration{{Key: "users", Operator: corev1.TolerationOpExists}}, pod.Spec.Tolerations)
			assert.Equal(t, "good", envOf(pod)["HTTP_PROXY"])
			assert.NotNil(t, volume(pod, "home").EmptyDir)
			assert.Contains(t, nb.VolumeMounts, corev1.VolumeMount{Name: "home", MountPath: "/home"})
			forEachContainer(pod, func(path string, c *corev1.Container) {
				require.NotNil(t, c.SecurityContext, path)
				assert.Nil(t, c.SecurityContext.Privileged, path)
				require.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation, path)
				assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, path)
			})
		})
	}
}

func volume(pod *corev1.Pod, name string) corev1.Volume {
	for _, v := range pod.Spec.Volumes {
		if v.Name == name {
			return v
		}
	}
	return corev1.Volume{}
}

func TestEnforcedUnsetStaysAway(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", "{enforced: {unset: ['environment[LD_PRELOAD]', priorityClassName, 'volumes[host]', lifecycleHooks]}}")+
		namespaced("n", `{defaults: {environment: {LD_PRELOAD: x}, priorityClassName: high, volumes: {host: {hostPath: {path: /}}}},
			enforced: {priorityClassName: high, lifecycleHooks: {preStop: {exec: {command: [x]}}},
			extraContainerConfig: {env: [{name: LD_PRELOAD, value: x}]}, extraPodConfig: {volumes: [{name: host, hostPath: {path: /}}, {name: mine}]}}}`))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.NotContains(t, envOf(pod), "LD_PRELOAD")
	assert.Empty(t, pod.Spec.PriorityClassName)
	assert.Nil(t, notebook(pod).Lifecycle)
	assert.Equal(t, []corev1.Volume{{Name: "mine"}}, pod.Spec.Volumes)
}

// A map's keys are the namespace's to choose.
func TestEnforcedUnsetFindsAThingUnderAnyKey(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", "{enforced: {unset: ['initContainers[host]', 'volumes[host].hostPath', 'volumeMounts[/host/]']}}")+
		namespaced("n", `{defaults: {initContainers: {a: {name: host, image: x}}, volumes: {a: {name: host, hostPath: {path: /}}}, volumeMounts: {a: {name: host, mountPath: /host}}}}`))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Empty(t, pod.Spec.InitContainers)
	assert.Equal(t, []corev1.Volume{{Name: "host"}}, pod.Spec.Volumes)
	assert.Empty(t, notebook(pod).VolumeMounts)
}

// The kubelet takes the last of two variables of one name, and leaves a reference to a variable that comes later as it is
// written.
func TestAnEnforcedVariableIsWhatTheKubeletTakes(t *testing.T) {
	const enforced = "{enforced: {environment: {A: '$(B)/good', B: good}, unset: ['environment[GONE]']}}"
	for name, attack := range map[string]string{
		"twice":       `{defaults: {extraContainerConfig: {env: [{name: B, value: x}, {name: A, value: x}, {name: A, value: evil}, {name: MINE}]}}}`,
		"good, twice": `{enforced: {extraPodConfig: {containers: [{name: notebook, env: [{name: B, value: good}, {name: A, value: $(B)/good}, {name: A, value: evil}]}]}}}`,
		"unset twice": `{defaults: {extraContainerConfig: {env: [{name: GONE, value: x}, {name: GONE, value: evil}]}}}`,
		"out of turn": `{defaults: {extraContainerConfig: {env: [{name: A, value: $(B)/good}, {name: B, value: good}]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			pod := fitted(t, compiled(t, baseline+clusterwide("e", enforced)+namespaced("n", attack)), aliceIn("research")).Pod
			var got []string
			for _, e := range notebook(pod).Env {
				if e.Name != "MINE" {
					got = append(got, e.Name+"="+e.Value)
				}
			}
			assert.Equal(t, []string{"B=good", "A=$(B)/good"}, got)
		})
	}
}

// Some settings land in variables, and a policy's own environment wins over those of its own layer or of weaker ones.
func TestEnforcedSettingsThatLandInVariablesHold(t *testing.T) {
	const overwritten = `environment: {JUPYTERHUB_DEBUG: evil, JUPYTERHUB_DISABLE_USER_CONFIG: "", JUPYTERHUB_DEFAULT_URL: /evil,
		JUPYTERHUB_ROOT_DIR: /evil, JUPYTERHUB_SERVICE_URL: "http://evil:1/"}`
	in := aliceIn("research")
	in.Identity.Env = map[string]string{"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:1/", "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"}
	for name, attack := range map[string]string{
		"environment":          "{defaults: {" + overwritten + "}}",
		"enforced environment": "{enforced: {" + overwritten + "}}",
		"extraContainerConfig": "{defaults: {extraContainerConfig: {env: [{name: JUPYTERHUB_DEBUG, value: evil}]}}}",
		"settings":             "{enforced: {debug: true, disableUserConfig: false, defaultUrl: /evil, notebookDir: /evil, ip: evil, port: 1}}",
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+clusterwide("e", "{enforced: {debug: false, disableUserConfig: true, defaultUrl: /lab, notebookDir: /home, ip: 127.0.0.1, port: 9999}}")+namespaced("n", attack))
			env := envOf(fitted(t, c, in).Pod)
			assert.NotContains(t, env, "JUPYTERHUB_DEBUG")
			assert.Equal(t, "1", env["JUPYTERHUB_DISABLE_USER_CONFIG"])
			assert.Equal(t, "/lab", env["JUPYTERHUB_DEFAULT_URL"])
			assert.Equal(t, "/home", env["JUPYTERHUB_ROOT_DIR"])
			assert.Equal(t, "http://127.0.0.1:9999/user/alice/", env["JUPYTERHUB_SERVICE_URL"])
		})
	}
	own := compiled(t, baseline+clusterwide("e", "{enforced: {disableUserConfig: true, environment: {JUPYTERHUB_DISABLE_USER_CONFIG: own}}}"))
	assert.Equal(t, "own", envOf(fitted(t, own, in).Pod)["JUPYTERHUB_DISABLE_USER_CONFIG"], "the layer's own environment wins")
}

func TestEnforcedInternalTLSHolds(t *testing.T) {
	for name, c := range map[string]struct{ enforced, attack string }{
		"against extraPodConfig":         {"{internalSsl: true}", "{defaults: {extraPodConfig: {volumes: [{name: jupyterhub-internal-certs, emptyDir: {}}]}}}"},
		"against extraContainerConfig":   {"{internalSsl: true}", "{defaults: {extraContainerConfig: {volumeMounts: [], env: []}}}"},
		"against environment":            {"{internalSsl: true}", "{enforced: {environment: {JUPYTERHUB_SSL_KEYFILE: /evil}}}"},
		"beside a list of volumes":       {"{internalSsl: true, volumes: [{name: v}]}", "{}"},
		"beside a list of mounts":        {"{internalSsl: true, volumeMounts: [{name: v, mountPath: /v}]}", "{}"},
		"as a default, beside two lists": {"{volumes: [{name: v}], volumeMounts: [{name: v, mountPath: /v}]}", "{defaults: {internalSsl: true}}"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := fitted(t, compiled(t, baseline+clusterwide("e", "{enforced: "+c.enforced+"}")+namespaced("n", c.attack)), aliceIn("research")).Pod
			require.NotNil(t, volume(pod, certificateVolume).Secret)
			assert.Equal(t, "jupyter-alice", volume(pod, certificateVolume).Secret.SecretName)
			assert.Contains(t, notebook(pod).VolumeMounts, corev1.VolumeMount{Name: certificateVolume, MountPath: "/etc/jupyterhub/ssl/"})
			assert.Equal(t, "/etc/jupyterhub/ssl/ssl.key", envOf(pod)["JUPYTERHUB_SSL_KEYFILE"])
		})
	}
}

// The key of an item is its name, so a weaker layer that gives the same key another name would have the enforced thing gone.
func TestEnforcedItemsKeepTheirNames(t *testing.T) {
	const enforced = `{enforced: {initContainers: {guard: {image: guard}}, volumes: {home: {emptyDir: {}}}, volumeMounts: {home: {mountPath: /home}},
		environment: {PROXY: {value: good}}}}`
	for name, attack := range map[string]string{
		"another name": `{defaults: {initContainers: {guard: {name: mine}}, volumes: {home: {name: mine}}, volumeMounts: {home: {name: mine, mountPath: /mine}}, environment: {PROXY: {name: MINE}},
			extraPodConfig: {initContainers: [], volumes: []}}}`,
		"a list": `{defaults: {initContainers: [{name: guard}], volumes: [{name: home}], volumeMounts: [{name: mine, mountPath: /home/}],
			extraContainerConfig: {volumeMounts: [{name: mine, mountPath: /home/}], env: [{name: PROXY, value: evil}]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			pod := fitted(t, compiled(t, baseline+clusterwide("e", enforced)+namespaced("n", attack)), aliceIn("research")).Pod
			require.Len(t, pod.Spec.InitContainers, 1)
			assert.Equal(t, corev1.Container{Name: "guard", Image: "guard"}, pod.Spec.InitContainers[0])
			assert.NotNil(t, volume(pod, "home").EmptyDir)
			assert.Equal(t, []corev1.VolumeMount{{Name: "home", MountPath: "/home"}}, notebook(pod).VolumeMounts)
			assert.Equal(t, "good", envOf(pod)["PROXY"])
		})
	}
}

func TestAnEnforcedPartOfAnItemKeepsTheNameThatTheClusterGives(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", `{defaults: {volumes: {home: {name: data, emptyDir: {}}}, volumeMounts: {home: {name: data, mountPath: /home}}},
			enforced: {volumeMounts: {home: {readOnly: true}}}}`)+
		namespaced("n", "{defaults: {volumeMounts: {home: {name: mine}}, extraContainerConfig: {volumeMounts: []}}}"))
	assert.Equal(t, []corev1.VolumeMount{{Name: "data", MountPath: "/home", ReadOnly: true}}, notebook(fitted(t, c, aliceIn("research")).Pod).VolumeMounts)
}

func TestEnforcedItemsMayBeNamedByTemplates(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", `{enforced: {volumes: {home: {name: 'home-{username}', emptyDir: {}}}, volumeMounts: {home: {name: 'home-{username}', mountPath: '/home/{username}/'}},
			initContainers: {guard: {name: 'guard-{username}', image: guard}}, unset: ['extraContainers[spy-{username}]']}}`)+
		namespaced("n", `{defaults: {extraContainerConfig: {volumeMounts: [{name: mine, mountPath: /home/alice}]},
			extraPodConfig: {volumes: [{name: home-alice, hostPath: {path: /}}], initContainers: [], containers: [{name: notebook}, {name: spy-alice}]}}}`))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Equal(t, []corev1.Volume{{Name: "home-alice", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}, pod.Spec.Volumes)
	assert.Equal(t, []corev1.VolumeMount{{Name: "home-alice", MountPath: "/home/alice/"}}, notebook(pod).VolumeMounts)
	assert.Equal(t, []corev1.Container{{Name: "guard-alice", Image: "guard"}}, pod.Spec.InitContainers)
	assert.Len(t, pod.Spec.Containers, 1)
}

// commonLabels win over extra ones where labels are built, but not from a weaker layer over what is enforced.
func TestEnforcedLabelsHoldAgainstTheOtherKind(t *testing.T) {
	const ensure = "storagePvcEnsure: true"
	for name, c := range map[string]struct{ enforced, attack string }{
		"extra":  {"{extraLabels: {tier: closed}, storageExtraLabels: {tier: closed}}", "{enforced: {" + ensure + ", commonLabels: {tier: open}}}"},
		"common": {"{commonLabels: {tier: closed}}", "{enforced: {" + ensure + ", extraLabels: {tier: open}, storageExtraLabels: {tier: open}}}"},
		"both":   {"{commonLabels: {tier: closed}, extraLabels: {tier: outer}, storageExtraLabels: {tier: outer}}", "{defaults: {" + ensure + "}}"},
		"own": {"{extraLabels: {tier: closed, component: x, hub.jupyter.org/username: x, slipway.dev/hub: x}, storageExtraLabels: {tier: closed, component: x, hub.jupyter.org/username: x}}",
			"{defaults: {" + ensure + "}}"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fitted(t, compiled(t, baseline+clusterwide("e", "{enforced: "+c.enforced+"}")+namespaced("n", c.attack)), aliceIn("research"))
			for component, labels := range map[string]map[string]string{"singleuser-server": r.Pod.Labels, "singleuser-storage": r.Claim.Labels} {
				assert.Equal(t, "closed", labels["tier"], component)
				assert.Equal(t, component, labels["component"], component)
				assert.Equal(t, "alice", labels[LabelUsername], component)
				assert.Equal(t, "main", labels[LabelHub], component)
			}
		})
	}
}

func TestAWholeSecurityContextIsKeptAway(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", "{defaults: {uid: 1000, fsGid: 100}, enforced: {unset: [containerSecurityContext, podSecurityContext], containerSecurityContext: {runAsNonRoot: true}}}")+
		namespaced("n", `{defaults: {containerSecurityContext: {procMount: Unmasked}, podSecurityContext: {sysctls: [{name: a, value: b}]},
			extraContainerConfig: {securityContext: {capabilities: {add: [SYS_ADMIN]}}}, extraPodConfig: {securityContext: {runAsUser: 0}}}}`))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Equal(t, &corev1.SecurityContext{RunAsUser: new(int64(1000)), RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false)}, notebook(pod).SecurityContext)
	assert.Equal(t, &corev1.PodSecurityContext{FSGroup: new(int64(100))}, pod.Spec.SecurityContext)
}

func TestAnItemWithoutANameCannotBeKeptAway(t *testing.T) {
	c := Compile(decoded(t, baseline+clusterwide("e", "{enforced: {unset: [tolerations, 'tolerations[gpu]']}}")))
	require.Len(t, c.Errors(), 1)
	assert.Equal(t, "spec.enforced.unset", c.Errors()[0].Field)
	assert.Contains(t, c.Errors()[0].Message, `"tolerations[gpu]": its items have no name`)
}

// An account that extraPodConfig names isn't what is enforced there.
func TestEnforcedAutomountLeavesTheAccountAlone(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", "{enforced: {automountServiceAccountToken: false}}")+
		namespaced("n", "{defaults: {extraPodConfig: {serviceAccountName: course, automountServiceAccountToken: true}}}"))
	spec := fitted(t, c, aliceIn("research")).Pod.Spec
	assert.Equal(t, "course", spec.ServiceAccountName)
	assert.Equal(t, new(false), spec.AutomountServiceAccountToken)
}

func TestEnforcedListMeansExactlyTheseAndMapTheseAmongOthers(t *testing.T) {
	side := namespaced("n", "{defaults: {extraContainers: {mine: {image: x}}, tolerations: {mine: {key: mine}}}}")
	exact := compiled(t, baseline+clusterwide("e", "{enforced: {extraContainers: [{name: proxy, image: p}], tolerations: [{key: theirs}]}}")+side)
	pod := fitted(t, exact, aliceIn("research")).Pod
	require.Len(t, pod.Spec.Containers, 2)
	assert.Equal(t, "proxy", pod.Spec.Containers[1].Name)
	assert.Equal(t, []corev1.Toleration{{Key: "theirs"}}, pod.Spec.Tolerations)

	among := compiled(t, baseline+clusterwide("e", "{enforced: {extraContainers: {proxy: {image: p}}, tolerations: {theirs: {key: theirs}}}}")+side)
	pod = fitted(t, among, aliceIn("research")).Pod
	assert.Len(t, pod.Spec.Containers, 3)
	assert.Equal(t, []corev1.Toleration{{Key: "mine"}, {Key: "theirs"}}, pod.Spec.Tolerations)
}

// Under the key of an enforced item, a weaker layer may say the path that the cluster leaves open; what the cluster enforces keeps
// the name that the cluster gives it.
func TestEnforcedItemHoldsWhateverItsNameIs(t *testing.T) {
	undone := "extraPodConfig: {initContainers: []}, extraContainerConfig: {volumeMounts: []}"
	c := compiled(t, baseline+clusterwide("e", "{enforced: {initContainers: {block: {image: block}}, volumeMounts: {home: {readOnly: true}}}}")+
		namespaced("n", "{defaults: {initContainers: {block: {name: other}}, volumeMounts: {home: {mountPath: /home}}, "+undone+"}}"))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Equal(t, []corev1.Container{{Name: "block", Image: "block"}}, pod.Spec.InitContainers)
	assert.Equal(t, []corev1.VolumeMount{{Name: "home", MountPath: "/home", ReadOnly: true}}, notebook(pod).VolumeMounts)
}

// Terms of a required node affinity are alternatives: with one more, the pod could go elsewhere.
func TestEnforcedNodeAffinityAdmitsNoAlternative(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", "{enforced: {nodeAffinityRequired: {users: {matchExpressions: [{key: users, operator: Exists}]}}}}")+
		namespaced("n", `{defaults: {extraPodConfig: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: Exists}]}]}}}}}}`))
	terms := fitted(t, c, aliceIn("research")).Pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	require.Len(t, terms, 1)
	assert.Equal(t, "users", terms[0].MatchExpressions[0].Key)
}

func TestConstraints(t *testing.T) {
	for name, tc := range map[string]struct{ constraints, settings, field, want string }{
		"memory over the maximum":        {"{memLimit: {max: 8Gi}}", "{memLimit: 16Gi}", "spec.containers", "have 16Gi of memory"},
		"no memory limit":                {"{memLimit: {max: 8Gi}}", "{}", "spec.containers[notebook].resources.limits[memory]", "is missing"},
		"a memory limit of 0":            {"{memLimit: {max: 8Gi}}", "{memLimit: 1Gi, extraContainers: [{name: x, image: x, resources: {limits: {memory: '0'}}}]}", "spec.containers[x].resources.limits[memory]", "is missing or 0"},
		"an extra cpu limit of 0":        {"{cpuLimit: {max: '8'}}", "{cpuLimit: '1', extraResourceLimits: {cpu: '0'}}", "spec.containers[notebook].resources.limits[cpu]", "is missing or 0"},
		"sum of containers":              {"{cpuLimit: {max: '2'}}", "{cpuLimit: '1500m', extraContainers: [{name: x, image: x, resources: {limits: {cpu: '1'}}}]}", "spec.containers", "2500m of cpu"},
		"largest init container":         {"{memLimit: {max: 1Gi}}", "{memLimit: 1Gi, initContainers: [{name: x, image: x, resources: {limits: {memory: 2Gi}}}]}", "spec.containers", "2Gi of memory"},
		"restartable init container":     {"{memLimit: {max: 1Gi}}", "{memLimit: 1Gi, initContainers: [{name: x, image: x, restartPolicy: Always, resources: {limits: {memory: 1Gi}}}]}", "spec.containers", "2Gi of memory"},
		"request taken from the limit":   {"{memGuarantee: {max: 1Gi}}", "{memLimit: 2Gi}", "spec.containers", "2Gi of memory"},
		"extended resource":              {"{extraResourceLimits: {nvidia.com/gpu: {max: '1'}}}", "{extraResourceLimits: {nvidia.com/gpu: '2'}}", "spec.containers", "2 of nvidia.com/gpu"},
		"no limit on the node's disk":    {"{extraResourceLimits: {ephemeral-storage: {max: 1Gi}}}", "{}", "spec.containers[notebook].resources.limits[ephemeral-storage]", "is missing"},
		"no memory limit, as an extra":   {"{extraResourceLimits: {memory: {max: 1Gi}}}", "{}", "spec.containers[notebook].resources.limits[memory]", "is missing"},
		"limits of the pod itself":       {"{memLimit: {max: 1Gi}}", "{memLimit: 1Gi, extraPodConfig: {resources: {limits: {memory: 2Gi}}}}", "spec.resources", "2Gi of memory"},
		"image":                          {"{image: {allow: ['quay.io/jupyter/*']}}", "{image: quay.io/evil/x}", "spec.containers[notebook].image", `"quay.io/evil/x" isn't allowed`},
		"image of an init container":     {"{image: {allow: ['quay.io/*']}}", "{initContainers: [{name: i, image: docker.io/x}]}", "spec.initContainers[i].image", "isn't allowed"},
		"image volume":                   {"{image: {allow: ['quay.io/*']}}", "{volumes: {v: {image: {reference: docker.io/x}}}}", "spec.volumes[v].image.reference", "isn't allowed"},
		"baseline":                       {"{podSecurity: baseline}", "{extraPodConfig: {hostNetwork: true}}", "spec", "host namespaces"},
		"baseline holds for extra ones":  {"{podSecurity: baseline}", "{initContainers: [{name: i, image: x, securityContext: {privileged: true}}]}", "spec", "privileged"},
		"restricted wants it to be said": {"{podSecurity: restricted}", "{}", "spec", "runAsNonRoot"},
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+clusterwide("e", "{constraints: "+tc.constraints+"}")+namespaced("n", "{defaults: "+tc.settings+"}"))
			d := denied(t, c, aliceIn("research"))
			assert.Equal(t, ConstraintViolated, d[0].Code)
			var fields []string
			messages := ""
			for _, one := range d {
				messages += one.Message
				fields = append(fields, one.Field)
				if one.Field == tc.field {
					assert.Equal(t, "e", one.Policy.Name)
				}
			}
			assert.Contains(t, fields, tc.field)
			assert.Contains(t, messages, tc.want)
		})
	}
}

func TestConstraintsWithinBoundsChangeNothing(t *testing.T) {
	settings := namespaced("n", `{defaults: {memLimit: 1Gi, cpuLimit: '1', image: quay.io/jupyter/x, uid: 1000, containerSecurityContext: {runAsNonRoot: true,
		capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}}`)
	with := fitted(t, compiled(t, baseline+clusterwide("baseline2", "{constraints: {memLimit: {max: 8Gi}, cpuLimit: {max: '4'}, extraResourceLimits: {nvidia.com/gpu: {max: '1'}}, image: {allow: ['quay.io/jupyter/*']}, podSecurity: restricted}}")+settings), aliceIn("research"))
	without := fitted(t, compiled(t, baseline+settings), aliceIn("research"))
	assert.Equal(t, without.Pod.Spec, with.Pod.Spec)
}
