package apiserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// enforcedByCluster is what the platform team fixes; the namespace's policies of these tests try to undo it.
const enforcedByCluster = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]
  enforced:
    image: quay.io/jupyter/good:1
    imagePullPolicy: Always
    cmd: [start-notebook]
    args: [--quiet]
    memLimit: 2Gi
    memGuarantee: 1Gi
    cpuLimit: "1"
    uid: 1000
    gid: 1000
    fsGid: 100
    supplementalGids: [200]
    privileged: false
    allowPrivilegeEscalation: false
    nodeSelector: {pool: users}
    serviceAccount: good
    automountServiceAccountToken: false
    schedulerName: users
    environment: {HTTP_PROXY: "http://proxy"}
    volumes: {home: {persistentVolumeClaim: {claimName: "claim-{username}"}}}
    volumeMounts: {home: {mountPath: /home/jovyan}}
    tolerations: [{key: users, operator: Exists}]
    extraLabels: {cost-centre: "42"}
    extraAnnotations: {owner: platform}
    unset: [priorityClassName, lifecycleHooks, workingDir]
`

// assertEnforced checks every setting of enforcedByCluster on a stored pod.
func assertEnforced(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	spec, n := &pod.Spec, &pod.Spec.Containers[indexOf(t, pod, "notebook")]
	assert.Equal(t, "quay.io/jupyter/good:1", n.Image, "image")
	assert.Equal(t, corev1.PullAlways, n.ImagePullPolicy, "imagePullPolicy")
	assert.Equal(t, []string{"start-notebook", "--quiet"}, n.Args, "cmd and args")
	assert.Equal(t, "2Gi", n.Resources.Limits.Memory().String(), "memLimit")
	assert.Equal(t, "1Gi", n.Resources.Requests.Memory().String(), "memGuarantee")
	assert.Equal(t, "1", n.Resources.Limits.Cpu().String(), "cpuLimit")
	require.NotNil(t, n.SecurityContext)
	assert.Equal(t, new(int64(1000)), n.SecurityContext.RunAsUser, "uid")
	assert.Equal(t, new(int64(1000)), n.SecurityContext.RunAsGroup, "gid")
	assert.Equal(t, new(int64(100)), spec.SecurityContext.FSGroup, "fsGid")
	assert.Equal(t, []int64{200}, spec.SecurityContext.SupplementalGroups, "supplementalGids")
	assert.Equal(t, "users", spec.NodeSelector["pool"], "nodeSelector")
	assert.Equal(t, "good", spec.ServiceAccountName, "serviceAccount")
	assert.Equal(t, new(false), spec.AutomountServiceAccountToken, "automountServiceAccountToken")
	assert.Equal(t, "users", spec.SchedulerName, "schedulerName")
	assert.Contains(t, n.Env, corev1.EnvVar{Name: "HTTP_PROXY", Value: "http://proxy"}, "environment")
	assert.Equal(t, []corev1.Toleration{{Key: "users", Operator: corev1.TolerationOpExists}}, spec.Tolerations[:1], "tolerations")
	assert.Len(t, spec.Tolerations, 3, "tolerations: the cluster's own two come after")
	assert.Contains(t, n.VolumeMounts, corev1.VolumeMount{Name: "home", MountPath: "/home/jovyan"}, "volumeMounts")
	assert.Equal(t, "42", pod.Labels["cost-centre"], "extraLabels")
	assert.Equal(t, "platform", pod.Annotations["owner"], "extraAnnotations")
	assert.Empty(t, spec.PriorityClassName, "unset: priorityClassName")
	assert.Nil(t, n.Lifecycle, "unset: lifecycleHooks")
	assert.Empty(t, n.WorkingDir, "unset: workingDir")
	for _, v := range spec.Volumes {
		if v.Name == "home" {
			assert.Equal(t, "claim-alice", v.PersistentVolumeClaim.ClaimName, "volumes")
		}
		assert.Nil(t, v.Projected, "no token is mounted")
	}
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		if assert.NotNil(t, c.SecurityContext, c.Name) {
			assert.NotEqual(t, new(true), c.SecurityContext.Privileged, "privileged: "+c.Name)
			assert.Equal(t, new(false), c.SecurityContext.AllowPrivilegeEscalation, "allowPrivilegeEscalation: "+c.Name)
		}
	}
}

func indexOf(t *testing.T, pod *corev1.Pod, container string) int {
	t.Helper()
	found := -1
	for i, c := range pod.Spec.Containers {
		if c.Name == container {
			require.Equal(t, -1, found, "two containers are called %s", container)
			found = i
		}
	}
	require.NotEqual(t, -1, found, "no container is called %s", container)
	return found
}

// undoings are a namespace's ways to say something else, in YAML's flow form.
var undoings = map[string]string{
	"settings": `image: evil, imagePullPolicy: Never, cmd: [sh], args: [-c], memLimit: 64Gi, memGuarantee: 64Gi, cpuLimit: "64", uid: 0, gid: 0,
		fsGid: 0, supplementalGids: [0], privileged: true, allowPrivilegeEscalation: true, nodeSelector: {pool: gpu}, serviceAccount: admin,
		automountServiceAccountToken: true, schedulerName: mine, environment: {HTTP_PROXY: ""}, priorityClassName: system-node-critical,
		lifecycleHooks: {postStart: {exec: {command: [sh]}}}, workingDir: /, tolerations: [{operator: Exists}],
		volumes: {root: {hostPath: {path: /}}}, volumeMounts: {home: {mountPath: /other}}, extraLabels: {cost-centre: "0"}, extraAnnotations: {owner: me}`,
	"empty settings": `image: "", cmd: [], nodeSelector: {}, serviceAccount: "", environment: {}, volumes: [], volumeMounts: [], tolerations: [],
		supplementalGids: [], extraLabels: {}, extraAnnotations: {}, schedulerName: ""`,
	"unset": `unset: [image, imagePullPolicy, cmd, memLimit, memGuarantee, cpuLimit, uid, gid, fsGid, supplementalGids, privileged,
		allowPrivilegeEscalation, nodeSelector, "environment[HTTP_PROXY]", serviceAccount, automountServiceAccountToken, schedulerName, volumes,
		volumeMounts, tolerations, "extraLabels[cost-centre]", extraAnnotations]`,
	"extraContainerConfig": `extraContainerConfig: {image: evil, imagePullPolicy: Never, args: [sh], command: [sh], workingDir: /, env: [{name: HTTP_PROXY}],
		volumeMounts: [], resources: {limits: {memory: 64Gi}}, lifecycle: {postStart: {exec: {command: [sh]}}},
		securityContext: {privileged: true, runAsUser: 0, runAsGroup: 0, capabilities: {add: [SYS_ADMIN]}}}`,
	"containerSecurityContext": `containerSecurityContext: {privileged: true, runAsUser: 0, runAsGroup: 0, allowPrivilegeEscalation: true}`,
	"podSecurityContext":       `podSecurityContext: {fsGroup: 0, runAsUser: 0, supplementalGroups: [0]}`,
	"extraPodConfig": `extraPodConfig: {nodeSelector: {}, serviceAccountName: admin, serviceAccount: admin, automountServiceAccountToken: true,
		securityContext: {fsGroup: 0, runAsUser: 0}, schedulerName: mine, tolerations: [{operator: Exists}], priorityClassName: system-node-critical,
		volumes: [{name: home, hostPath: {path: /}}]}`,
	"extraPodConfig with containers": `extraPodConfig: {containers: [{name: side, image: evil, securityContext: {privileged: true}},
		{name: notebook, image: evil, command: [sh], securityContext: {privileged: true, runAsUser: 0}, workingDir: /, env: [{name: HTTP_PROXY}]}],
		initContainers: [{name: early, image: evil, securityContext: {allowPrivilegeEscalation: true}}]}`,
	"extraContainers": `extraContainers: [{name: side, image: evil, securityContext: {privileged: true, allowPrivilegeEscalation: true, runAsUser: 0}}]`,
	"initContainers":  `initContainers: [{name: early, image: evil, securityContext: {privileged: true, allowPrivilegeEscalation: true, runAsUser: 0}}]`,
}

func TestWhatTheClusterEnforcesNoNamespaceUndoes(t *testing.T) {
	w := world.ForTest(t)
	for block, shape := range map[string]string{
		"defaults": "defaults: {%s}",
		"enforced": "enforced: {%s}",
		"profile":  "profiles: [{slug: mine, settings: {%s}}]",
	} {
		for name, settings := range undoings {
			t.Run(block+"/"+name, func(t *testing.T) {
				ns := w.Namespace(t)
				for _, account := range []string{"good", "admin"} {
					require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, account))
				}
				flow := strings.Join(strings.Fields(settings), " ")
				w.PutUnjudged(t, ns, enforcedByCluster, fmt.Sprintf("\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {priority: 1000000, "+shape+"}\n", flow))
				pod, err := w.Launch(t, ns, nil)
				require.NoError(t, err)
				assertEnforced(t, pod)
			})
		}
	}
}

// What runs is command and args together: an enforced cmd, which lands in args, is worth nothing beside a command of the
// namespace's.
func TestEnforcedCmdRunsWithoutAnotherCommandBeforeIt(t *testing.T) {
	w := world.ForTest(t)
	for name, settings := range map[string]string{
		"extraContainerConfig": `extraContainerConfig: {command: [sh, -c, "evil"]}`,
		"extraPodConfig":       `extraPodConfig: {containers: [{name: notebook, command: [sh, -c, "evil"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, "good"))
			w.Put(t, ns, enforcedByCluster, "\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {defaults: {"+settings+"}}\n")
			pod, err := w.Launch(t, ns, nil)
			require.NoError(t, err)
			assert.Empty(t, pod.Spec.Containers[indexOf(t, pod, "notebook")].Command)
		})
	}
}

// Where a namespace takes the notebook itself away, there is nothing to put the enforced settings on.
func TestNamespaceThatHidesTheNotebookIsDenied(t *testing.T) {
	w := world.ForTest(t)
	for name, settings := range map[string]string{
		"no notebook":           `extraPodConfig: {containers: [{name: side, image: evil}]}`,
		"no containers":         `extraPodConfig: {containers: []}`,
		"two notebooks":         `extraContainers: [{name: notebook, image: evil}]`,
		"two notebooks, by pod": `extraPodConfig: {containers: [{name: notebook, image: evil}, {name: notebook, image: evil}]}`,
	} {
		for _, block := range []string{"defaults", "enforced"} {
			t.Run(block+"/"+name, func(t *testing.T) {
				ns := w.Namespace(t)
				w.PutUnjudged(t, ns, enforcedByCluster, "\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {"+block+": {"+settings+"}}\n")
				_, err := w.Launch(t, ns, nil)
				assert.Contains(t, world.AsDenied(t, err).Codes(), policy.PolicyInvalid)
			})
		}
	}
}

// What the cluster enforces is the cluster's alone: merged with a namespace's source, a volume would have two.
func TestNamespaceThatGivesAnEnforcedVolumeAnotherSourceHasNoSay(t *testing.T) {
	w := world.ForTest(t)
	for name, settings := range map[string]string{
		"by map":  `volumes: {home: {hostPath: {path: /}}}`,
		"by list": `volumes: [{name: home, hostPath: {path: /}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, "good"))
			w.Put(t, ns, enforcedByCluster, "\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {defaults: {"+settings+"}}\n")
			pod, err := w.Launch(t, ns, nil)
			require.NoError(t, err)
			assertEnforced(t, pod)
		})
	}
}
