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

// Under the key of an enforced item, a weaker layer may say another name, or the path: it is the same thing still.
func TestEnforcedItemHoldsWhateverItsNameIs(t *testing.T) {
	undone := "extraPodConfig: {initContainers: []}, extraContainerConfig: {volumeMounts: []}"
	c := compiled(t, baseline+clusterwide("e", "{enforced: {initContainers: {block: {image: block}}, volumeMounts: {home: {readOnly: true}}}}")+
		namespaced("n", "{defaults: {initContainers: {block: {name: other}}, volumeMounts: {home: {mountPath: /home}}, "+undone+"}}"))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Equal(t, []corev1.Container{{Name: "other", Image: "block"}}, pod.Spec.InitContainers)
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
		"sum of containers":              {"{cpuLimit: {max: '2'}}", "{cpuLimit: '1500m', extraContainers: [{name: x, image: x, resources: {limits: {cpu: '1'}}}]}", "spec.containers", "2500m of cpu"},
		"largest init container":         {"{memLimit: {max: 1Gi}}", "{memLimit: 1Gi, initContainers: [{name: x, image: x, resources: {limits: {memory: 2Gi}}}]}", "spec.containers", "2Gi of memory"},
		"restartable init container":     {"{memLimit: {max: 1Gi}}", "{memLimit: 1Gi, initContainers: [{name: x, image: x, restartPolicy: Always, resources: {limits: {memory: 1Gi}}}]}", "spec.containers", "2Gi of memory"},
		"request taken from the limit":   {"{memGuarantee: {max: 1Gi}}", "{memLimit: 2Gi}", "spec.containers", "2Gi of memory"},
		"extended resource":              {"{extraResourceLimits: {nvidia.com/gpu: {max: '1'}}}", "{extraResourceLimits: {nvidia.com/gpu: '2'}}", "spec.containers", "2 of nvidia.com/gpu"},
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
