package bypass

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// debug adds an ephemeral container as kubectl debug does, by somebody who has the right.
func debug(t *testing.T, w *world.World, ns, name string, c corev1.EphemeralContainer) (*corev1.Pod, error) {
	t.Helper()
	pod, err := w.Admin.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, c)
	return w.Admin.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), name, pod, metav1.UpdateOptions{})
}

func ephemeral(image string, security *corev1.SecurityContext) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image, SecurityContext: security}}
}

// holding is like enforcing, without a bound on memory, which no ephemeral container could keep.
const holding = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE-holding}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  enforced: {allowPrivilegeEscalation: false, privileged: false}
  constraints: {image: {allow: ["quay.io/*"]}, podSecurity: baseline}
`

var forgottenContainers = []attempt{
	{"init, restartable and extra containers of a namespace's policy", func(t *testing.T, w *world.World) {
		for name, settings := range map[string]string{
			"init":        `initContainers: [{name: x, image: quay.io/x, securityContext: {privileged: true}}]`,
			"restartable": `initContainers: [{name: x, image: quay.io/x, restartPolicy: Always, securityContext: {privileged: true, allowPrivilegeEscalation: true}}]`,
			"extra":       `extraContainers: [{name: x, image: quay.io/x, securityContext: {privileged: true}}]`,
			"by the pod":  `extraPodConfig: {initContainers: [{name: x, image: quay.io/x, securityContext: {privileged: true}}]}`,
		} {
			ns := place(t, w, holding, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {"+settings+"}}\n")
			pod := running(t, w, ns)
			for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				assert.Nil(t, c.SecurityContext.Privileged, name)
				assert.Equal(t, new(false), c.SecurityContext.AllowPrivilegeEscalation, name)
			}
		}
	}},
	{"an image outside the list in any of them", func(t *testing.T, w *world.World) {
		for _, settings := range []string{
			`initContainers: [{name: x, image: evil}]`, `extraContainers: [{name: x, image: evil}]`, `volumes: {x: {image: {reference: evil}}}`,
		} {
			ns := place(t, w, holding, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {"+settings+"}}\n")
			_, err := w.Launch(t, ns, nil)
			require.Error(t, err, settings)
			denied(t, err, policy.ConstraintViolated)
		}
	}},
	{"an ephemeral container", func(t *testing.T, w *world.World) {
		ns := place(t, w, holding)
		pod := running(t, w, ns)
		safe := &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}
		_, err := debug(t, w, ns, pod.Name, ephemeral("evil", safe))
		denied(t, err, policy.ConstraintViolated)
		_, err = debug(t, w, ns, pod.Name, ephemeral("quay.io/x", &corev1.SecurityContext{Privileged: new(true)}))
		denied(t, err, policy.FieldChanged)
		_, err = debug(t, w, ns, pod.Name, ephemeral("quay.io/x", &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}))
		denied(t, err, policy.ConstraintViolated)
		_, err = debug(t, w, ns, pod.Name, ephemeral("quay.io/x", safe))
		require.NoError(t, err, "one within policy")
	}},
	{"a second container called notebook", func(t *testing.T, w *world.World) {
		ns := place(t, w, holding)
		_, err := w.Launch(t, ns, func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "notebook", Image: "evil"})
		})
		world.RequireDenied(t, err, policy.SkeletonNotBare, "spec.containers")
	}},
}

var subresources = []attempt{
	{"a resize over the bound and over what is enforced", func(t *testing.T, w *world.World) {
		ns := place(t, w, enforcing)
		pod := running(t, w, ns)
		resize := func(memory string) error {
			patch := fmt.Sprintf(`{"spec":{"containers":[{"name":"notebook","resources":{"limits":{"memory":%q},"requests":{"memory":%q}}}]}}`, memory, memory)
			_, err := w.Admin.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "resize")
			return err
		}
		denied(t, resize("3Gi"), policy.ConstraintViolated)
		require.NoError(t, resize("2Gi"))
		w.Put(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: fixed}\nspec: {enforced: {memLimit: 2Gi}}\n")
		denied(t, resize("1Gi"), policy.FieldChanged)
	}},
	{"resources by an update of the pod", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		notebook(pod).Resources.Limits[corev1.ResourceMemory] = resource.MustParse("64Gi")
		_, err := w.Forger.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{})
		require.Error(t, err)
	}},
	{"a binding by the launcher, and one that carries marks", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		binding := func(meta metav1.ObjectMeta) *corev1.Binding {
			meta.Name = pod.Name
			return &corev1.Binding{ObjectMeta: meta, Target: corev1.ObjectReference{Kind: "Node", Name: "mine"}}
		}
		require.Error(t, w.Hub.CoreV1().Pods(ns).Bind(t.Context(), binding(metav1.ObjectMeta{}), metav1.CreateOptions{}), "the launcher has no right to")
		for name, meta := range map[string]metav1.ObjectMeta{
			"another user": {Annotations: map[string]string{policy.AnnotationUsername: "bob"}},
			"another hub":  {Labels: map[string]string{policy.LabelHub: "other"}},
			"any label":    {Labels: map[string]string{"app": "database"}},
		} {
			err := w.Admin.CoreV1().Pods(ns).Bind(t.Context(), binding(meta), metav1.CreateOptions{})
			require.Error(t, err, name)
			denied(t, err, policy.FieldChanged)
			legacy := binding(meta)
			legacy.APIVersion, legacy.Kind = "v1", "Binding"
			err = w.Admin.CoreV1().RESTClient().Post().Namespace(ns).Resource("bindings").Body(legacy).Do(t.Context()).Error()
			require.Error(t, err, name)
			denied(t, err, policy.FieldChanged)
		}
	}},
	{"marks by a status patch", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		for name, patch := range changes {
			_, err := w.Admin.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			require.Error(t, err, name)
			denied(t, err, policy.FieldChanged)
		}
		stored, err := w.Admin.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType,
			[]byte(`{"spec":{"containers":[{"name":"notebook","image":"evil"}]},"status":{"phase":"Running"}}`), metav1.PatchOptions{}, "status")
		require.NoError(t, err)
		assert.Equal(t, pod.Spec, stored.Spec, "a status patch carries no spec")
	}},
	{"a copy without the labels, as kubectl debug --copy-to makes", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		cp := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "copy", Annotations: pod.Annotations}, Spec: pod.Spec}
		cp.Spec.ServiceAccountName, cp.Spec.DeprecatedServiceAccount = "", ""
		cp.Spec.Containers = append([]corev1.Container{}, pod.Spec.Containers...)
		cp.Spec.Containers[0].Image = "evil"
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), cp, metav1.CreateOptions{})
		denied(t, err, policy.FieldChanged)
	}},
}

// slips are what a skeleton may try to bring, each with the path by which it is refused.
var slips = map[string]func(*corev1.PodSpec){
	"spec.hostNetwork":                   func(s *corev1.PodSpec) { s.HostNetwork = true },
	"spec.hostPID":                       func(s *corev1.PodSpec) { s.HostPID = true },
	"spec.hostIPC":                       func(s *corev1.PodSpec) { s.HostIPC = true },
	"spec.hostUsers":                     func(s *corev1.PodSpec) { s.HostUsers = new(true) },
	"spec.shareProcessNamespace":         func(s *corev1.PodSpec) { s.ShareProcessNamespace = new(true) },
	"spec.serviceAccountName":            func(s *corev1.PodSpec) { s.ServiceAccountName = "default" },
	"spec.automountServiceAccountToken":  func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = new(true) },
	"spec.nodeName":                      func(s *corev1.PodSpec) { s.NodeName = "mine" },
	"spec.schedulerName":                 func(s *corev1.PodSpec) { s.SchedulerName = "mine" },
	"spec.activeDeadlineSeconds":         func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = new(int64(1)) },
	"spec.terminationGracePeriodSeconds": func(s *corev1.PodSpec) { s.TerminationGracePeriodSeconds = new(int64(86400)) },
	"spec.dnsConfig.nameservers":         func(s *corev1.PodSpec) { s.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}} },
	"spec.hostname":                      func(s *corev1.PodSpec) { s.Hostname = "database" },
	"spec.containers[notebook].ports": func(s *corev1.PodSpec) {
		s.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1, HostPort: 1}}
	},
	"spec.containers[notebook].securityContext.privileged": func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	},
	"spec.containers[notebook].securityContext.procMount": func(s *corev1.PodSpec) {
		s.HostUsers, s.Containers[0].SecurityContext = new(false), &corev1.SecurityContext{ProcMount: new(corev1.UnmaskedProcMount)}
	},
	"spec.containers[notebook].securityContext.capabilities": func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
	},
	"spec.securityContext.seccompProfile": func(s *corev1.PodSpec) {
		s.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}
	},
	"spec.securityContext.appArmorProfile": func(s *corev1.PodSpec) {
		s.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}}
	},
	"spec.securityContext.sysctls": func(s *corev1.PodSpec) {
		s.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "kernel.shm_rmid_forced", Value: "1"}}}
	},
	"spec.securityContext.windowsOptions": func(s *corev1.PodSpec) {
		s.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("x")}}
	},
	"spec.volumes[x].hostPath": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	},
	"spec.volumes[kube-api-access-x].hostPath": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	},
	"spec.volumes[x].projected": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "token"}}},
		}}}}
	},
	"spec.volumes[x].csi": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "x"}}}}
	},
	"spec.volumes[x].secret": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "jupyter-bob-env-00000000"}}}}
	},
	"spec.volumes[x].persistentVolumeClaim": func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim-bob"}}}}
	},
}

// isVolume tells the slips of class 10 from those of class 11.
func isVolume(path string) bool { return strings.HasPrefix(path, "spec.volumes") }

// slipsDenied tries those of one kind in Strict.
func slipsDenied(volume bool) func(*testing.T, *world.World) {
	return func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for path, slip := range slips {
			if isVolume(path) != volume {
				continue
			}
			_, err := w.Launch(t, ns, func(p *corev1.Pod) { slip(&p.Spec) })
			found := false
			for _, r := range world.AsDenied(t, err).Reasons {
				found = found || r.Code == policy.SkeletonNotBare && strings.HasPrefix(r.Field, path)
			}
			assert.True(t, found, "%s: %v", path, err)
		}
	}
}

// slipsDropped tries those of one kind in Strip: the stored pod is the very one of a bare skeleton.
func slipsDropped(volume bool) func(*testing.T, *world.World) {
	return func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: strip}\nspec: {skeleton: Strip}\n")
		bare := running(t, w, ns)
		w.Remove(t, bare)
		for path, slip := range slips {
			if isVolume(path) != volume {
				continue
			}
			pod, err := w.Launch(t, ns, func(p *corev1.Pod) { slip(&p.Spec) })
			require.NoError(t, err, path)
			assert.Equal(t, bare.Spec, pod.Spec, path)
			w.Remove(t, pod)
		}
	}
}

var volumes = []attempt{
	{"in a skeleton, Strict", slipsDenied(true)},
	{"in a skeleton, Strip", slipsDropped(true)},
	{"a host's disk by a namespace's policy, under Pod Security", func(t *testing.T, w *world.World) {
		for _, settings := range []string{
			`volumes: {x: {hostPath: {path: /}}}`, `extraPodConfig: {volumes: [{name: kube-api-access-x, hostPath: {path: /}}]}`,
		} {
			ns := place(t, w, holding, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {"+settings+"}}\n")
			_, err := w.Launch(t, ns, nil)
			denied(t, err, policy.ConstraintViolated)
		}
	}},
	{"a folder above a volume", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {volumes: {x: {emptyDir: {}}}, volumeMounts: [{name: x, mountPath: /x, subPath: ../y}]}}\n")
		_, err := w.Launch(t, ns, nil)
		require.ErrorContains(t, err, "must not contain '..'")
	}},
	{"a token volume that isn't one, by a later webhook", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: deny}\nspec: {additions: {mode: Deny}}\n")
		w.Meddle(t, ns, func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		})
		_, err := w.Launch(t, ns, nil)
		world.RequireDenied(t, err, policy.FieldChanged, "spec.volumes[kube-api-access-x]")
	}},
	{"a mount over the policy's own, by a later webhook", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: mounts}\nspec: {enforced: {volumes: {home: {emptyDir: {}}}, volumeMounts: [{name: home, mountPath: /home}]}}\n")
		w.Meddle(t, ns, func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			notebook(p).VolumeMounts = append(notebook(p).VolumeMounts, corev1.VolumeMount{Name: "x", MountPath: "/home/jovyan"})
		})
		_, err := w.Launch(t, ns, nil)
		denied(t, err, policy.FieldChanged)
	}},
}

var privilegeFields = []attempt{
	{"in a skeleton, Strict", slipsDenied(false)},
	{"in a skeleton, Strip", slipsDropped(false)},
	{"by a namespace's policy, under Pod Security", func(t *testing.T, w *world.World) {
		for _, settings := range []string{
			`extraPodConfig: {hostNetwork: true}`, `extraPodConfig: {hostPID: true}`, `extraPodConfig: {hostIPC: true}`,
			`containerSecurityContext: {capabilities: {add: [SYS_ADMIN]}}`, `podSecurityContext: {sysctls: [{name: kernel.msgmax, value: "1"}]}`,
			`containerSecurityContext: {seccompProfile: {type: Unconfined}}`, `containerSecurityContext: {appArmorProfile: {type: Unconfined}}`,
			`extraContainerConfig: {ports: [{containerPort: 1, hostPort: 1}]}`, `extraAnnotations: {container.apparmor.security.beta.kubernetes.io/notebook: unconfined}`,
		} {
			ns := place(t, w, holding, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {"+settings+"}}\n")
			_, err := w.Launch(t, ns, nil)
			require.Error(t, err, settings)
			denied(t, err, policy.ConstraintViolated)
		}
	}},
}

var claimRights = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"create", "get", "patch", "update"}}}

// withEnv sends the hub's environment as the launcher does.
func withEnv(secret string, keys ...string) policy.Identity {
	id := world.Alice
	id.EnvSecret, id.EnvKeys = secret, keys
	return id
}

var environment = []attempt{
	{"variables outside hubEnv", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod, err := launch(t, w, ns, withEnv("jupyter-alice-env-00000000", "JUPYTERHUB_API_TOKEN", "LD_PRELOAD", "PATH", "PYTHONSTARTUP"), nil)
		require.NoError(t, err)
		var names []string
		for _, e := range notebook(pod).Env {
			names = append(names, e.Name)
		}
		assert.Contains(t, names, "JUPYTERHUB_API_TOKEN")
		assert.NotContains(t, names, "LD_PRELOAD")
		assert.NotContains(t, names, "PATH")
		assert.NotContains(t, names, "PYTHONSTARTUP")
	}},
	{"in the skeleton's container", func(t *testing.T, w *world.World) {
		_, err := w.Launch(t, place(t, w), func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "JUPYTERHUB_USER", Value: "$(COURSE)"}, {Name: "LD_PRELOAD", Value: "/x"}}
		})
		denied(t, err, policy.SkeletonNotBare)
	}},
	{"a variable of policy's, and one twice", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: env}\nspec: {defaults: {environment: {JUPYTERHUB_COURSE: \"101\"}}}\n")
		pod, err := launch(t, w, ns, withEnv("jupyter-alice-env-00000000", "JUPYTERHUB_COURSE", "JUPYTERHUB_USER", "JUPYTERHUB_USER"), nil)
		require.NoError(t, err)
		seen := map[string]int{}
		for _, e := range notebook(pod).Env {
			seen[e.Name]++
		}
		assert.Equal(t, 1, seen["JUPYTERHUB_USER"])
		assert.Equal(t, 1, seen["JUPYTERHUB_COURSE"])
		assert.Contains(t, notebook(pod).Env, corev1.EnvVar{Name: "JUPYTERHUB_COURSE", Value: "101"})
	}},
	{"another Secret", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for _, secret := range []string{"jupyter-bob-env-00000000", "registry-password", "jupyter-alice-env-", "jupyter-alice-env-0000000/", "jupyter-alice-env-00000000-more"} {
			_, err := launch(t, w, ns, withEnv(secret, "JUPYTERHUB_API_TOKEN"), nil)
			world.RequireDenied(t, err, policy.IdentityInvalid, "metadata.annotations[slipway.dev/env-secret]")
		}
	}},
}

// laterWebhook is a case of what another webhook does to the fitted pod; path is "" where it may.
type laterWebhook struct {
	name   string
	change func(*corev1.Pod)
	path   string
}

// isServer: the other webhook also sees probes, which it leaves alone.
func isServer(p *corev1.Pod) bool { return p.Annotations[policy.AnnotationApplied] != "" }

// meddled tries cases one after the other by one webhook.
func meddled(policies []string, cases []laterWebhook) func(*testing.T, *world.World) {
	return func(t *testing.T, w *world.World) {
		ns := place(t, w, policies...)
		var current func(*corev1.Pod)
		w.Meddle(t, ns, func(p *corev1.Pod) {
			if isServer(p) && current != nil {
				current(p)
			}
		})
		for _, c := range cases {
			current = c.change
			pod, err := w.Launch(t, ns, nil)
			if c.path == "" {
				require.NoError(t, err, c.name)
				assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(pod).Image)
				w.Remove(t, pod)
				continue
			}
			require.Error(t, err, c.name)
			var fields []string
			for _, r := range world.AsDenied(t, err).Reasons {
				fields = append(fields, r.Field)
				if r.Field == "" && strings.Contains(r.Message, "the label slipway.dev/hub") { // an admission policy was faster
					fields = append(fields, hubLabelPath)
				}
			}
			assert.Contains(t, fields, c.path, "%s: %v", c.name, err)
		}
	}
}

const hubLabelPath = "metadata.labels[slipway.dev/hub]"

var laterMutation = []attempt{
	{"marks removed and forged", meddled(nil, []laterWebhook{
		{"the label", func(p *corev1.Pod) { delete(p.Labels, policy.LabelHub) }, hubLabelPath},
		{"label and annotation", func(p *corev1.Pod) { p.Labels, p.Annotations = nil, nil }, hubLabelPath},
		{"an older generation", func(p *corev1.Pod) {
			p.Annotations[policy.AnnotationApplied] = strings.Replace(p.Annotations[policy.AnnotationApplied], `"generation":1`, `"generation":0`, 1)
		}, "metadata.annotations[slipway.dev/applied]"},
		{"another user", func(p *corev1.Pod) {
			p.Annotations[policy.AnnotationUsername], p.Labels[policy.LabelUsername] = "bob", "bob"
		}, "metadata.name"},
		{"an owner", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: "1"}}
		}, "metadata.ownerReferences"},
	})},
	{"what policy fitted and enforces", meddled([]string{enforcing, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {defaults: {volumes: {data: {emptyDir: {}}}, initContainers: [{name: one, image: quay.io/x, resources: {limits: {memory: 1Gi}}}, {name: two, image: quay.io/x, resources: {limits: {memory: 1Gi}}}]}}\n"}, []laterWebhook{
		{"privileges", func(p *corev1.Pod) { notebook(p).SecurityContext = &corev1.SecurityContext{Privileged: new(true)} }, "spec.containers[notebook].securityContext.privileged"},
		{"escalation", func(p *corev1.Pod) { notebook(p).SecurityContext.AllowPrivilegeEscalation = new(true) }, "spec.containers[notebook].securityContext.allowPrivilegeEscalation"},
		{"the pool", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "gpu"} }, "spec.nodeSelector[pool]"},
		{"a volume removed", func(p *corev1.Pod) { p.Spec.Volumes = nil }, "spec.volumes"},
		{"init containers swapped", func(p *corev1.Pod) {
			p.Spec.InitContainers[0], p.Spec.InitContainers[1] = p.Spec.InitContainers[1], p.Spec.InitContainers[0]
		}, "spec.initContainers[two]"},
		{"a privileged sidecar", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", Image: "quay.io/x", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}})
		}, "spec.containers[side].securityContext.privileged"},
		{"a sidecar of another image", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", Image: "evil"})
		}, "spec.containers[side].image"},
		{"a variable twice", func(p *corev1.Pod) {
			notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "COURSE", Value: "x"})
		}, "spec.containers[notebook].env[COURSE]"},
	})},
	{"what a mesh does passes", meddled([]string{holding}, []laterWebhook{
		{"a container before the notebook", func(p *corev1.Pod) {
			safe := &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}
			p.Spec.Containers = append([]corev1.Container{{Name: "proxy", Image: "quay.io/proxy", SecurityContext: safe}}, p.Spec.Containers...)
			p.Spec.InitContainers = append([]corev1.Container{{Name: "proxy-init", Image: "quay.io/proxy", SecurityContext: safe}}, p.Spec.InitContainers...)
			p.Annotations["mesh.example.org/status"] = "injected"
			notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "MESH", Value: "1"})
		}, ""},
	})},
	{"additions where they are listed", meddled([]string{"\nkind: SpawnPolicy\nmetadata: {name: listed}\nspec: {additions: {mode: Listed, names: [proxy]}}\n"}, []laterWebhook{
		{"the listed one", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Image: "x"})
		}, ""},
		{"another one", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "miner", Image: "x"})
		}, "spec.containers[miner]"},
		{"a field", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "spec.hostNetwork"},
		{"an annotation", func(p *corev1.Pod) { p.Annotations["x"] = "y" }, "metadata.annotations[x]"},
	})},
}

var againstEnforcement = []attempt{
	{"settings, blocks and unset of a namespace", func(t *testing.T, w *world.World) {
		for _, block := range []string{"defaults: {%s}", "enforced: {%s}", "profiles: [{slug: mine, settings: {%s}}]"} {
			for _, settings := range []string{
				`nodeSelector: {pool: gpu}, privileged: true, allowPrivilegeEscalation: true`,
				`unset: [nodeSelector, privileged, allowPrivilegeEscalation]`,
				`extraPodConfig: {nodeSelector: {}}, extraContainerConfig: {securityContext: {privileged: true, allowPrivilegeEscalation: true}}`,
				`containerSecurityContext: {privileged: true, allowPrivilegeEscalation: true}`,
				`extraPodConfig: {containers: [{name: notebook, image: quay.io/x, resources: {limits: {memory: 1Gi}}, securityContext: {privileged: true}}]}`,
			} {
				ns := place(t, w, enforcing, "\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {priority: 1000000, "+fmt.Sprintf(block, settings)+"}\n")
				pod := running(t, w, ns)
				assert.Equal(t, "users", pod.Spec.NodeSelector["pool"], settings)
				assert.Nil(t, notebook(pod).SecurityContext.Privileged, settings)
				assert.Equal(t, new(false), notebook(pod).SecurityContext.AllowPrivilegeEscalation, settings)
			}
		}
	}},
	{"settings of a namespace against constraints", func(t *testing.T, w *world.World) {
		for _, settings := range []string{
			`memLimit: 3Gi`, `unset: [memLimit]`, `extraResourceLimits: {memory: 3Gi}`, `extraContainerConfig: {resources: {limits: {memory: 3Gi}}}`, `image: evil`,
			`extraContainers: [{name: x, image: quay.io/x}]`, `extraContainers: [{name: x, image: quay.io/x, resources: {limits: {memory: 1500Mi}}}]`,
			`initContainers: [{name: x, image: quay.io/x, restartPolicy: Always, resources: {limits: {memory: 1500Mi}}}]`,
		} {
			ns := place(t, w, enforcing, "\nkind: SpawnPolicy\nmetadata: {name: undo}\nspec: {priority: 1000000, enforced: {"+settings+"}}\n")
			_, err := w.Launch(t, ns, nil)
			require.Error(t, err, settings)
			denied(t, err, policy.ConstraintViolated)
		}
	}},
}
