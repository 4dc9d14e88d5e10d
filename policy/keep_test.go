package policy

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// keeping is a policy that says nothing but who may launch, and that the hub's pod is kept.
const keeping = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: baseline}
spec:
  skeleton: Keep
  hubs: [main]
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
`

// hubPod is testdata/hub-pod.yaml.
func hubPod(t require.TestingT) *corev1.Pod {
	data, err := os.ReadFile(filepath.Join("testdata", "hub-pod.yaml"))
	require.NoError(t, err)
	pod := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict(data, pod))
	return pod
}

// keptInput is the input for that pod, after the change if there is one.
func keptInput(t require.TestingT, change func(*corev1.Pod)) Input {
	in := aliceIn("research")
	in.Sent = hubPod(t)
	if change != nil {
		change(in.Sent)
	}
	return in
}

// withoutApplied takes the engine's own annotation off a pod.
func withoutApplied(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	delete(pod.Annotations, AnnotationApplied)
	return pod
}

func TestKeepChangesNothingWherePolicySaysNothing(t *testing.T) {
	for name, text := range map[string]string{
		"only launchers":           keeping,
		"bounds that it is within": keeping + clusterwide("c", "{constraints: {podSecurity: baseline}, metadata: {deny: ['other/*']}, hubEnv: ['*']}"),
		"defaults that it has all": keeping + namespaced("n", `{defaults: {image: other, cmd: [other], memLimit: 1Gi, cpuLimit: "1", port: 1, defaultUrl: /x,
			environment: {ZONE: policy}, volumes: {home: {emptyDir: {}}}, volumeMounts: [{name: home, mountPath: /home/jovyan/}],
			nodeSelector: {disk: policy}, initContainers: {prepare: {image: other}}, extraContainers: [{name: proxy, image: other}],
			extraLabels: {app: other}, allowPrivilegeEscalation: true, extraPodConfig: {restartPolicy: Never},
			nodeAffinityPreferred: [{weight: 1, preference: {matchFields: [{key: a, operator: Exists}]}}]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			in := keptInput(t, nil)
			r := fitted(t, compiled(t, text), in)
			assert.True(t, r.Kept)
			assert.Empty(t, r.Warnings)
			assert.JSONEq(t, asJSON(hubPod(t)), asJSON(withoutApplied(r.Pod)))
			assert.JSONEq(t, asJSON(hubPod(t)), asJSON(in.Sent), "what came in stays as it is")
			assert.Contains(t, r.Pod.Annotations[AnnotationApplied], `"name":"baseline"`)
		})
	}
}

// Every setting, once as a default and once enforced, on the pod of a hub that says something of its own on most of them.
func TestKeepOfEverySetting(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "full.policy.yaml"))
	require.NoError(t, err)
	_, lab, _ := strings.Cut(strings.ReplaceAll(string(data), "    internalSsl: true\n", ""), "---")
	lab = "\n---" + lab + "  skeleton: Keep\n"
	baseline := strings.ReplaceAll(keeping, "  skeleton: Keep\n", "")
	golden(t, "kept-filled.yaml", fitted(t, compiled(t, baseline+lab), keptInput(t, nil)))
	golden(t, "kept-enforced.yaml", fitted(t, compiled(t, baseline+strings.ReplaceAll(lab, "  defaults:\n", "  enforced:\n")), keptInput(t, nil)))
}

// What policy says in every other mode it says of a hub's pod too.
func TestKeepForcesWhatIsEnforced(t *testing.T) {
	c := compiled(t, keeping+clusterwide("e", enforcing))
	pod := fitted(t, c, keptInput(t, func(p *corev1.Pod) {
		nb := notebook(p)
		nb.Command = []string{"sh"}
		nb.SecurityContext = &corev1.SecurityContext{Privileged: new(true), RunAsUser: new(int64(0))}
		nb.Env = append(nb.Env, corev1.EnvVar{Name: "HTTP_PROXY", Value: "evil"}, corev1.EnvVar{Name: "HTTP_PROXY", Value: "worse"})
		nb.VolumeMounts[0] = corev1.VolumeMount{Name: "evil", MountPath: "/home/"}
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = "admin", "admin"
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
	})).Pod
	nb := notebook(pod)
	assert.Equal(t, "good", nb.Image)
	assert.Equal(t, "good", envOf(pod)["JUPYTER_IMAGE"])
	assert.Empty(t, nb.Command)
	assert.Equal(t, []string{"start"}, nb.Args)
	assert.Equal(t, int64(1000), *nb.SecurityContext.RunAsUser)
	assert.Equal(t, "1Gi", nb.Resources.Limits.Memory().String())
	assert.Equal(t, "1Gi", nb.Resources.Requests.Memory().String(), "no request exceeds its limit")
	assert.Equal(t, "2", nb.Resources.Requests.Cpu().String())
	assert.Equal(t, "1073741824", envOf(pod)["MEM_LIMIT"])
	assert.Equal(t, map[string]string{"disk": "hub", "pool": "users"}, pod.Spec.NodeSelector)
	assert.Equal(t, "user", pod.Spec.ServiceAccountName)
	assert.Empty(t, pod.Spec.DeprecatedServiceAccount)
	assert.False(t, *pod.Spec.AutomountServiceAccountToken)
	assert.Equal(t, []corev1.Toleration{{Key: "users", Operator: corev1.TolerationOpExists}}, pod.Spec.Tolerations)
	var proxies []string
	for _, e := range nb.Env {
		if e.Name == "HTTP_PROXY" {
			proxies = append(proxies, e.Value)
		}
	}
	assert.Equal(t, []string{"good"}, proxies, "of two, the later would count")
	assert.Equal(t, []corev1.VolumeMount{{Name: "home", MountPath: "/home"}}, nb.VolumeMounts, "a path with a slash at its end is the same")
	assert.NotNil(t, volume(pod, "home").EmptyDir)
	forEachContainer(pod, func(path string, c *corev1.Container) {
		assert.Nil(t, c.SecurityContext.Privileged, path)
		assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, path)
	})
}

// variableOf sees a variable of the notebook.
func variableOf(name string) func(*corev1.Pod) any {
	return func(p *corev1.Pod) any { return envOf(p)[name] }
}

// words are what policy may say on a hub's pod, and where it shows.
var words = map[string]struct {
	spec   string
	change func(*corev1.Pod)
	see    func(*corev1.Pod) any
	want   any
}{
	"a token enforced away leaves the account": {
		"{enforced: {automountServiceAccountToken: false}}",
		func(p *corev1.Pod) { p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = "course", "course" },
		func(p *corev1.Pod) any { return p.Spec.ServiceAccountName + p.Spec.DeprecatedServiceAccount }, "coursecourse",
	},
	"an enforced account leaves the token": {
		"{enforced: {serviceAccount: course}}",
		func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(false) },
		func(p *corev1.Pod) any { return p.Spec.AutomountServiceAccountToken }, new(false),
	},
	"no account is the default one": {
		"{enforced: {unset: [serviceAccount]}}", nil, func(p *corev1.Pod) any { return p.Spec.ServiceAccountName }, "default",
	},
	"an enforced port moves a server that says it twice": {
		"{enforced: {port: 9999}}", func(p *corev1.Pod) {
			notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "JUPYTERHUB_SERVICE_URL", Value: "http://0.0.0.0:22/"})
		}, func(p *corev1.Pod) any { return envOf(p)["JUPYTERHUB_SERVICE_URL"] }, "http://0.0.0.0:9999/",
	},
	"an enforced port moves the server": {"{enforced: {port: 9999}}", nil, variableOf("JUPYTERHUB_SERVICE_URL"), "http://0.0.0.0:9999/user/alice/"},
	"an enforced port is the container's": {
		"{enforced: {port: 9999}}", nil, func(p *corev1.Pod) any { return notebook(p).Ports[0].ContainerPort }, int32(9999),
	},
	"an enforced address": {
		"{enforced: {ip: '::'}}", func(p *corev1.Pod) { notebook(p).Env[4].Value = "https://0.0.0.0:8888/user/alice/" },
		variableOf("JUPYTERHUB_SERVICE_URL"), "https://[::]:8888/user/alice/",
	},
	"init containers of policy come first": {
		"{enforced: {initContainers: {b: {image: x}, a: {image: x}}}}", nil,
		func(p *corev1.Pod) any { return namesOf(p.Spec.InitContainers) }, []string{"a", "b", "prepare"},
	},
	"those of defaults last": {
		"{defaults: {initContainers: {b: {image: x}}}}", nil,
		func(p *corev1.Pod) any { return namesOf(p.Spec.InitContainers) }, []string{"prepare", "b"},
	},
	"a variable after what it refers to": {
		"{enforced: {environment: {A: '$(B)', B: x}}}", nil,
		func(p *corev1.Pod) any {
			at := func(name string) int {
				return slices.IndexFunc(notebook(p).Env, func(e corev1.EnvVar) bool { return e.Name == name })
			}
			return at("B") < at("A")
		}, true,
	},
	"a component": {
		"{enforced: {componentLabel: x}}", nil,
		func(p *corev1.Pod) any { return p.Labels["component"] + p.Labels["app.kubernetes.io/component"] }, "xx",
	},
	"a limit that is taken away": {
		"{enforced: {unset: [memLimit]}}", nil,
		func(p *corev1.Pod) any { return notebook(p).Resources.Limits.Memory().String() + envOf(p)["MEM_LIMIT"] }, "0",
	},
	"a limit in another form": {"{enforced: {extraContainerConfig: {resources: {limits: {memory: 1Gi}}}}}", nil, variableOf("MEM_LIMIT"), "1073741824"},
	"an enforced request beside a limit": {
		"{enforced: {memLimit: 8Gi, memGuarantee: 4Gi}}", nil,
		func(p *corev1.Pod) any { return notebook(p).Resources.Requests.Memory().String() }, "4Gi",
	},
	"a request that the API server made of the limit": {
		"{enforced: {memLimit: 8Gi}}", nil,
		func(p *corev1.Pod) any { return notebook(p).Resources.Requests.Memory().String() }, "8Gi",
	},
	"a toleration that the cluster gives anyway": {
		"{defaults: {tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]}}", nil,
		func(p *corev1.Pod) any { return len(p.Spec.Tolerations) }, 2,
	},
	"a place with a slash at its end": {
		"{enforced: {volumeMounts: {home: {mountPath: /home/jovyan/, readOnly: true}}}}", nil,
		func(p *corev1.Pod) any { return notebook(p).VolumeMounts[0] },
		corev1.VolumeMount{Name: "home", MountPath: "/home/jovyan/", ReadOnly: true},
	},
	"an environment that is none": {
		"{enforced: {unset: [environment]}}", nil,
		func(p *corev1.Pod) any {
			return envOf(p)["ZONE"] + envOf(p)["JUPYTERHUB_API_TOKEN"] + envOf(p)["MEM_LIMIT"]
		}, "4294967296",
	},
	"a request of the hub's own": {
		"{enforced: {memLimit: 8Gi}}",
		func(p *corev1.Pod) { notebook(p).Resources.Requests[corev1.ResourceMemory] = resource.MustParse("1Gi") },
		func(p *corev1.Pod) any { return notebook(p).Resources.Requests.Memory().String() }, "1Gi",
	},
	"a default beside the pod's own limit": {
		"{defaults: {memLimit: 1Gi}}", func(p *corev1.Pod) { notebook(p).Env = nil }, variableOf("MEM_LIMIT"), "",
	},
	"a default that fills": {
		"{defaults: {memLimit: 1Gi}}",
		func(p *corev1.Pod) { notebook(p).Env, notebook(p).Resources = nil, corev1.ResourceRequirements{} },
		variableOf("MEM_LIMIT"), "1073741824",
	},
	"debugging": {"{enforced: {debug: true}}", nil, variableOf("JUPYTERHUB_DEBUG"), "1"},
	"a page below the hub's prefix": {
		"{enforced: {defaultUrl: '{base_url}lab'}, defaults: {environment: {JUPYTERHUB_DEFAULT_URL: x}}}", nil,
		variableOf("JUPYTERHUB_DEFAULT_URL"), "/user/alice/lab",
	},
	"another hub": {
		"{enforced: {extraLabels: {slipway.dev/hub: other}}}", nil, func(p *corev1.Pod) any { return p.Labels[LabelHub] }, "main",
	},
	"a context unset and said anew": {
		"{defaults: {unset: [containerSecurityContext], containerSecurityContext: {runAsNonRoot: true}}}",
		func(p *corev1.Pod) { notebook(p).SecurityContext = nil },
		func(p *corev1.Pod) any { return *notebook(p).SecurityContext }, corev1.SecurityContext{RunAsNonRoot: new(true)},
	},
	"a page taken away":     {"{enforced: {unset: [defaultUrl]}}", nil, variableOf("JUPYTERHUB_DEFAULT_URL"), ""},
	"policy's own variable": {"{enforced: {memLimit: 1Gi, environment: {MEM_LIMIT: own}}}", nil, variableOf("MEM_LIMIT"), "own"},
	"a default command beside a hub's": {
		"{defaults: {cmd: [start]}}", func(p *corev1.Pod) { notebook(p).Command, notebook(p).Args = []string{"sh"}, nil },
		func(p *corev1.Pod) any { return notebook(p).Args }, []string(nil),
	},
	"a default that a stronger layer took away": {
		"{defaults: {unset: [port, image]}}", func(p *corev1.Pod) { notebook(p).Ports, notebook(p).Image = nil, "" },
		func(p *corev1.Pod) any { return len(notebook(p).Ports) + len(notebook(p).Image) }, 0,
	},
}

func TestKeepHoldsEachWordByItself(t *testing.T) {
	for name, c := range words {
		t.Run(name, func(t *testing.T) {
			pod := fitted(t, compiled(t, keeping+clusterwide("c", c.spec)), keptInput(t, c.change)).Pod
			assert.Equal(t, c.want, c.see(pod))
		})
	}
}

func namesOf(containers []corev1.Container) []string {
	var names []string
	for _, c := range containers {
		names = append(names, c.Name)
	}
	return names
}

func TestKeepDropsLabelsAndAnnotationsThatNoHubMaySet(t *testing.T) {
	c := compiled(t, keeping+clusterwide("c", "{metadata: {deny: ['example.org/*', 'hub.jupyter.org/*']}}")+
		namespaced("n", "{metadata: {deny: [team]}, enforced: {extraLabels: {team: ours}}, defaults: {extraLabels: {example.org/ours: ours}}}"))
	r := fitted(t, c, keptInput(t, func(p *corev1.Pod) {
		maps.Copy(p.Labels, map[string]string{"example.org/a": "1", "example.org/ours": "1", "team": "1", "other": "1", "slipway.dev/applied": "1", AnnotationGroups: "1"})
		maps.Copy(p.Annotations, map[string]string{
			AnnotationApplied: "forged", "slipway.dev/x": "1", "other": "1", AnnotationGroups: `["staff"]`,
			"container.apparmor.security.beta.kubernetes.io/notebook": "unconfined",
			"seccomp.security.alpha.kubernetes.io/pod":                "unconfined",
			"container.seccomp.security.alpha.kubernetes.io/notebook": "unconfined",
		})
	}))
	assert.Equal(t, []string{"app", "app.kubernetes.io/component", "app.kubernetes.io/managed-by", "app.kubernetes.io/name", "component",
		"example.org/ours", "hub.jupyter.org/servername", "hub.jupyter.org/username", "other", "slipway.dev/hub", "team"},
		slices.Sorted(maps.Keys(r.Pod.Labels)))
	assert.Equal(t, "ours", r.Pod.Labels["team"])
	assert.Equal(t, "ours", r.Pod.Labels["example.org/ours"])
	assert.Equal(t, []string{"hub.jupyter.org/username", "other", "slipway.dev/applied", "slipway.dev/groups"}, slices.Sorted(maps.Keys(r.Pod.Annotations)))
	assert.NotEqual(t, "forged", r.Pod.Annotations[AnnotationApplied])
	assert.Equal(t, []string{"example.org/ours", "team"}, r.Applied.Labels, "what the hub said may change while the server runs")
	require.NotEmpty(t, r.Warnings)
	assert.Contains(t, r.Warnings[0], "dropped from the pod: metadata.labels[example.org/a], metadata.labels[example.org/ours], ")
}

func TestKeepLetsThroughTheVariablesOfHubEnv(t *testing.T) {
	before := func(p *corev1.Pod) {
		notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "LD_PRELOAD", Value: "s3cr3t"})
		notebook(p).EnvFrom = []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "any"}}},
			{Prefix: "JUPYTERHUB_X_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "some"}}},
		}
	}
	for name, c := range map[string]struct {
		policies string
		gone     []string
		warning  string
	}{
		"nobody says": {"", nil, ""},
		"one says": {clusterwide("c", "{hubEnv: ['JUPYTERHUB_*']}"), []string{"LD_PRELOAD", "ZONE"},
			"dropped from the pod: spec.containers[notebook].env[ZONE], spec.containers[notebook].env[LD_PRELOAD], spec.containers[notebook].envFrom[any]"},
		"both must": {clusterwide("c", "{hubEnv: ['JUPYTERHUB_*', ZONE]}") + namespaced("n", "{hubEnv: ['JUPYTERHUB_*', LD_PRELOAD]}"), []string{"LD_PRELOAD", "ZONE"}, "env[ZONE]"},
		"policy sets it": {clusterwide("c", "{hubEnv: ['JUPYTERHUB_*']}") + namespaced("n", "{defaults: {environment: {ZONE: policy}}}"),
			[]string{"LD_PRELOAD"}, "dropped from the pod: spec.containers[notebook].env[LD_PRELOAD]"},
		"an enforced whole": {clusterwide("c", "{hubEnv: ['JUPYTERHUB_*', LD_PRELOAD]}") + namespaced("n", "{enforced: {unset: [environment]}}"), []string{"ZONE"}, "env[ZONE]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fitted(t, compiled(t, keeping+c.policies), keptInput(t, before))
			env := envOf(r.Pod)
			for name := range envOf(hubPod(t)) {
				if !slices.Contains(c.gone, name) {
					assert.Contains(t, env, name)
				}
			}
			for _, name := range c.gone {
				assert.NotContains(t, env, name)
			}
			if name == "policy sets it" {
				assert.Equal(t, "policy", env["ZONE"])
			}
			warnings := strings.Join(r.Warnings, "\n")
			assert.Contains(t, warnings, c.warning)
			assert.NotContains(t, warnings, "s3cr3t")
			assert.Equal(t, c.warning == "", warnings == "")
			sources := notebook(r.Pod).EnvFrom
			assert.Len(t, sources, map[bool]int{true: 2, false: 1}[name == "nobody says"])
			assert.Equal(t, "JUPYTERHUB_X_", sources[len(sources)-1].Prefix)
		})
	}
}

// What the hub computes and hubEnv doesn't let through can say nothing but what is so.
func TestKeepPutsComputedVariablesRightThatHubEnvDoesNotLetThrough(t *testing.T) {
	c := compiled(t, keeping+clusterwide("c", "{hubEnv: ['JUPYTERHUB_*']}"))
	r := fitted(t, c, keptInput(t, func(p *corev1.Pod) {
		notebook(p).Env[0].Value, notebook(p).Env[5].Value = "99", "forged"
		notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "MEM_GUARANTEE", Value: "1"})
		delete(notebook(p).Resources.Requests, corev1.ResourceMemory)
	}))
	assert.Equal(t, "2.0", envOf(r.Pod)["CPU_LIMIT"])
	assert.Equal(t, "quay.io/hub/image:1", envOf(r.Pod)["JUPYTER_IMAGE"])
	assert.NotContains(t, envOf(r.Pod), "MEM_GUARANTEE")
	assert.Contains(t, r.Warnings[0], "env[MEM_GUARANTEE]")
}

// Our own launcher hands the variables over beside the pod.
func TestKeepAddsTheVariablesOfTheLaunchersSecret(t *testing.T) {
	in := keptInput(t, nil)
	in.Identity.EnvSecret, in.Identity.EnvKeys = "jupyter-alice-env-x7k2m9qa", []string{"JUPYTERHUB_NEW", "JUPYTERHUB_API_TOKEN", "OTHER"}
	pod := fitted(t, compiled(t, keeping+clusterwide("c", "{hubEnv: ['JUPYTERHUB_*', ZONE]}")), in).Pod
	env := notebook(pod).Env
	assert.Equal(t, "jupyter-alice-env-x7k2m9qa", env[len(env)-1].ValueFrom.SecretKeyRef.Name)
	assert.Equal(t, "JUPYTERHUB_NEW", env[len(env)-1].Name)
	assert.Equal(t, "secret", envOf(pod)["JUPYTERHUB_API_TOKEN"])
	assert.NotContains(t, envOf(pod), "OTHER")
}

func TestKeepLeavesToAdmissionWhatItComputes(t *testing.T) {
	token := func(p *corev1.Pod) (volumes, mounts int) {
		for _, v := range p.Spec.Volumes {
			if strings.HasPrefix(v.Name, tokenVolumePrefix) {
				volumes++
			}
		}
		forEachContainer(p, func(_ string, c *corev1.Container) {
			for _, m := range c.VolumeMounts {
				if strings.HasPrefix(m.Name, tokenVolumePrefix) {
					mounts++
				}
			}
		})
		return volumes, mounts
	}
	hostPath := func(p *corev1.Pod) {
		p.Spec.Volumes[1] = corev1.Volume{Name: p.Spec.Volumes[1].Name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}
	}
	otherAudience := func(p *corev1.Pod) { p.Spec.Volumes[1].Projected.Sources[0].ServiceAccountToken.Audience = "vault" }
	for name, c := range map[string]struct {
		spec            string
		change          func(*corev1.Pod)
		volumes, mounts int
		priority        bool
		overhead        bool
	}{
		"nothing said":               {"{}", nil, 1, 3, true, true},
		"another account":            {"{enforced: {serviceAccount: course}}", nil, 0, 0, true, true},
		"another account by default": {"{defaults: {serviceAccount: course}}", nil, 0, 0, true, true},
		"the same account":           {"{enforced: {serviceAccount: default}}", nil, 1, 3, true, true},
		"no token":                   {"{enforced: {automountServiceAccountToken: false}}", nil, 0, 0, true, true},
		"exactly these volumes":      {"{enforced: {volumes: [{name: home}]}}", nil, 0, 0, true, true},
		"a host path of that name":   {"{enforced: {serviceAccount: course}}", hostPath, 1, 3, true, true},
		"a token for somebody else":  {"{enforced: {serviceAccount: course}}", otherAudience, 1, 3, true, true},
		"another class":              {"{enforced: {priorityClassName: high}}", nil, 1, 3, false, true},
		"another class by default":   {"{defaults: {priorityClassName: high}}", nil, 1, 3, false, true},
		"another runtime":            {"{enforced: {extraPodConfig: {runtimeClassName: gvisor}}}", nil, 1, 3, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := fitted(t, compiled(t, keeping+clusterwide("c", c.spec)), keptInput(t, func(p *corev1.Pod) {
				p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
				if c.change != nil {
					c.change(p)
				}
			})).Pod
			volumes, mounts := token(pod)
			assert.Equal(t, c.volumes, volumes)
			assert.Equal(t, c.mounts, mounts)
			assert.Equal(t, c.priority, pod.Spec.Priority != nil && pod.Spec.PreemptionPolicy != nil)
			assert.Equal(t, c.overhead, pod.Spec.Overhead != nil)
		})
	}
}

func TestKeepDenies(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		change   func(*corev1.Pod)
		code     Code
		policy   string
		field    string
	}{
		"no notebook":                {keeping, func(p *corev1.Pod) { p.Spec.Containers[1].Name = "shell" }, SkeletonNotBare, "", "spec.containers"},
		"two notebooks":              {keeping, func(p *corev1.Pod) { p.Spec.Containers[0].Name = NotebookContainer }, SkeletonNotBare, "", "spec.containers"},
		"bounded additions":          {keeping + namespaced("n", "{additions: {mode: Listed, names: [x]}}"), nil, PolicyInvalid, "n", "spec.additions.mode"},
		"profiles of another policy": {keeping + namespaced("n", "{profiles: [{slug: a}]}"), nil, PolicyInvalid, "n", "spec.profiles"},
		"certificates":               {keeping + namespaced("n", "{defaults: {internalSsl: true}}"), nil, PolicyInvalid, "n", "spec.defaults.internalSsl"},
		"a bound":                    {keeping + namespaced("n", "{constraints: {image: {allow: ['quay.io/*', 'envoy:*']}}}"), nil, ConstraintViolated, "n", "spec.initContainers[prepare].image"},
		"another name":               {keeping + namespaced("n", "{defaults: {podNameTemplate: 'x-{username}'}}"), nil, NameMismatch, "", "metadata.name"},
		"a stricter mode":            {keeping + namespaced("n", "{skeleton: Strict}"), nil, SkeletonNotBare, "", "spec.containers"},
	} {
		t.Run(name, func(t *testing.T) {
			in := keptInput(t, c.change)
			in.Identity.Name = in.Sent.Name
			in.Surplus, in.Shape = []string{"spec.nodeSelector"}, skeletonShape(in.Sent)
			d := denied(t, compiled(t, c.policies), in)
			assert.Equal(t, c.code, d[0].Code)
			assert.Equal(t, c.field, d[0].Field)
			if c.policy != "" {
				assert.Equal(t, c.policy, d[0].Policy.Name)
			}
		})
	}
}

func TestKeepWithProfilesIsInvalidByItself(t *testing.T) {
	c := Compile(decoded(t, keeping+namespaced("n", "{skeleton: Keep, profiles: [{slug: a}]}")))
	require.Len(t, c.Errors(), 1)
	assert.Equal(t, "spec.profiles", c.Errors()[0].Field)
	assert.Len(t, denied(t, c, keptInput(t, nil)), 1, "said once")
}

func TestKeepWithoutAPodStartsFromABareOne(t *testing.T) {
	pod := fitted(t, compiled(t, keeping+namespaced("n", "{defaults: {image: x, cmd: [start]}}")), aliceIn("research")).Pod
	assert.Equal(t, "jupyter-alice", pod.Name)
	assert.Equal(t, "main", pod.Labels[LabelHub])
	assert.Equal(t, "alice", pod.Annotations[AnnotationUsername])
	require.Len(t, pod.Spec.Containers, 1)
	assert.Equal(t, "x", pod.Spec.Containers[0].Image)
	assert.Equal(t, []string{"start"}, pod.Spec.Containers[0].Args)
	assert.Empty(t, pod.Spec.Containers[0].Ports, "built-in defaults fill nothing")
}

// drawHubPod draws a pod that a hub could send: all that keeping looks at is there or not.
func drawHubPod(t *rapid.T) *corev1.Pod {
	pod := hubPod(t)
	maybe := func(what string, do func()) {
		if rapid.Bool().Draw(t, what) {
			do()
		}
	}
	nb := notebook(pod)
	maybe("no env", func() { nb.Env = nil })
	maybe("a variable", func() {
		nb.Env = append(nb.Env, corev1.EnvVar{Name: "A", Value: "hub"}, corev1.EnvVar{Name: "A", Value: "again"})
	})
	maybe("no ports", func() { nb.Ports = nil })
	maybe("no limits", func() { nb.Resources = corev1.ResourceRequirements{} })
	maybe("no image", func() { nb.Image = "" })
	maybe("no labels", func() { pod.Labels = nil })
	maybe("a label", func() { metav1.SetMetaDataLabel(&pod.ObjectMeta, "l", "hub") })
	maybe("our annotation", func() { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "slipway.dev/x", "hub") })
	maybe("no init containers", func() { pod.Spec.InitContainers = nil })
	maybe("a volume", func() { pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "v"}) })
	maybe("an account", func() { pod.Spec.ServiceAccountName = "hub" })
	maybe("no tolerations", func() { pod.Spec.Tolerations = nil })
	maybe("no context", func() { pod.Spec.SecurityContext = nil })
	maybe("a side", func() { pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "side"}) })
	maybe("no token", func() { pod.Spec.AutomountServiceAccountToken = new(false) })
	return pod
}

// keepBlocks are further settings to draw from, for what keeping treats by itself.
var keepBlocks = append([]string{
	"{tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute}]}",
	"{serviceAccount: x}", "{automountServiceAccountToken: false}", "{tolerations: [{key: a}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute}]}",
	"{memLimit: 1Gi, cpuLimit: '1'}", "{port: 9999, ip: '::1'}", "{debug: true, defaultUrl: '{base_url}x'}", "{priorityClassName: c}",
	"{initContainers: {z: {image: z}, i: {image: i}}}", "{volumeMounts: {v: {mountPath: /home/jovyan/}}}", "{componentLabel: c, commonLabels: {app: a}}",
	"{extraAnnotations: {slipway.dev/x: ours, l: ours}}", "{volumes: []}", "{cmd: [a], args: [b]}", "{unset: [environment]}", "{unset: [serviceAccount, memLimit, priorityClassName]}",
	"{podSecurityContext: {runAsNonRoot: true}, fsGid: 1}", "{schedulerName: s}", "{nodeAffinityRequired: {a: {matchExpressions: [{key: a, operator: Exists}]}}}",
	"{extraPodConfig: {containers: [{name: notebook, image: x}], runtimeClassName: r}}",
}, blocks...)

// A final pod is held against what keeping makes of it: once kept, a pod must stay as it is.
func TestKeepingAKeptPodChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := keeping
		for i := range rapid.IntRange(0, 3).Draw(t, "policies") {
			spec := "{defaults: " + rapid.SampledFrom(keepBlocks).Draw(t, "defaults") + ", enforced: " + rapid.SampledFrom(keepBlocks).Draw(t, "enforced") +
				", hubEnv: " + rapid.SampledFrom([]string{"[]", "['JUPYTERHUB_*']", "[A, 'JUPYTERHUB_S*']"}).Draw(t, "hubEnv") +
				", metadata: {deny: " + rapid.SampledFrom([]string{"[]", "['*']", "[l]"}).Draw(t, "deny") + "}}"
			if rapid.Bool().Draw(t, "cluster") {
				text += clusterwide("c"+string(rune('0'+i)), spec)
			} else {
				text += namespaced("n"+string(rune('0'+i)), spec)
			}
		}
		p, err := Decode("drawn.yaml", []byte(text))
		require.NoError(t, err)
		c := Compile(p)
		in := aliceIn("research")
		in.Sent = drawHubPod(t)
		in.Identity.EnvSecret, in.Identity.EnvKeys = "jupyter-alice-env-x7k2m9qa", []string{"JUPYTERHUB_NEW"}
		sent := in.Sent.DeepCopy()
		first, err := c.Apply(in)
		require.NoError(t, err)
		require.Equal(t, sent, in.Sent)
		if len(first.Denials) > 0 {
			require.Equal(t, PolicyInvalid, first.Denials[0].Code)
			return
		}
		before := asJSON(plansOf(c))
		in.Sent = first.Pod.DeepCopy()
		second, err := c.Apply(in)
		assert.Equal(t, before, asJSON(plansOf(c)), "what is shared isn't written to")
		require.NoError(t, err)
		require.Empty(t, second.Denials)
		assert.Equal(t, asJSON(first.Pod), asJSON(second.Pod))
		assert.Empty(t, second.Warnings, "nothing is left to drop")
		refused, known := c.Verify(in, first.Pod)
		assert.True(t, known)
		assert.Empty(t, refused, "and it passes as a final pod")

		raw := asJSON(sent)
		got, _ := patched(t, raw, first.Pod)
		assert.JSONEq(t, asJSON(first.Pod), got, "and the patch makes the kept pod")
	})
}

// What comes after policy may add to a kept pod, and may undo nothing.
func TestVerifyOfAKeptPod(t *testing.T) {
	c := compiled(t, keeping+clusterwide("c", "{enforced: {uid: 1000, nodeSelector: {pool: users}, environment: {A: policy}, allowPrivilegeEscalation: false}, metadata: {deny: [team]}, defaults: {extraLabels: {l: policy}}}"))
	in := keptInput(t, nil)
	pod := fitted(t, c, in).Pod
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		field  string
	}{
		"nothing": {func(*corev1.Pod) {}, ""},
		"a sidecar": {func(p *corev1.Pod) {
			p.Spec.Containers = slices.Insert(p.Spec.Containers, 0, corev1.Container{Name: "mesh", Image: "m", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}})
		}, ""},
		"an annotation":       {func(p *corev1.Pod) { p.Annotations["mesh"] = "injected" }, ""},
		"a variable":          {func(p *corev1.Pod) { notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "MESH"}) }, ""},
		"what the hub said":   {func(p *corev1.Pod) { notebook(p).Image = "other" }, ""},
		"another uid":         {func(p *corev1.Pod) { notebook(p).SecurityContext.RunAsUser = new(int64(0)) }, "spec.containers[notebook].securityContext.runAsUser"},
		"another pool":        {func(p *corev1.Pod) { p.Spec.NodeSelector["pool"] = "gpu" }, "spec.nodeSelector[pool]"},
		"an enforced one":     {func(p *corev1.Pod) { notebook(p).Env[len(notebook(p).Env)-1].Value = "other" }, "spec.containers[notebook].env[A].value"},
		"a privileged one":    {func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = nil }, "spec.containers[proxy].securityContext"},
		"a filled label gone": {func(p *corev1.Pod) { delete(p.Labels, "l") }, "metadata.labels[l]"},
		"the notebook gone":   {func(p *corev1.Pod) { notebook(p).Name = "shell" }, "spec.containers"},
	} {
		t.Run(name, func(t *testing.T) {
			final := pod.DeepCopy()
			tc.change(final)
			denials, known := c.Verify(in, final)
			require.True(t, known)
			if tc.field == "" {
				assert.Empty(t, denials)
				return
			}
			require.NotEmpty(t, denials)
			assert.Equal(t, tc.field, denials[0].Field)
		})
	}
}

// plansOf are the settings that pods were made from.
func plansOf(c *Compiled) (all []settings) {
	for _, key := range slices.Sorted(maps.Keys(c.plans.plans)) {
		all = append(all, *c.plans.plans[key].settings)
	}
	return all
}

// What one pod is made from is there for the next: nothing of it may be written to.
func TestPlansStayAsTheyAre(t *testing.T) {
	shared := clusterwide("c", `{defaults: {extraPodConfig: {securityContext: {runAsNonRoot: true}}, extraContainerConfig: {securityContext: {runAsNonRoot: true}, resources: {limits: {cpu: "1"}}}},
		enforced: {fsGid: 1, uid: 1, memLimit: 1Gi, podSecurityContext: {runAsUser: 1}}}`)
	for _, mode := range []string{keeping, baseline} {
		c := compiled(t, mode+shared)
		in := keptInput(t, func(p *corev1.Pod) { p.Spec.SecurityContext, notebook(p).SecurityContext = nil, nil })
		r := fitted(t, c, in)
		assert.Equal(t, int64(1), *r.Pod.Spec.SecurityContext.FSGroup)
		fresh := newPlan(c.policies, selection{})
		assert.Equal(t, asJSON(*fresh.settings), asJSON(plansOf(c)[0]))
	}
}

func TestTheStrictestSkeletonModeHoldsOverKeep(t *testing.T) {
	for _, mode := range []v1alpha1.SkeletonMode{v1alpha1.SkeletonStrict, v1alpha1.SkeletonStrip} {
		r, err := compiled(t, keeping+namespaced("n", "{skeleton: "+string(mode)+"}")).Apply(keptInput(t, nil))
		require.NoError(t, err)
		assert.False(t, r.Kept)
		assert.NotEqual(t, "quay.io/hub/image:1", r.Pod.Spec.Containers[0].Image)
	}
}

func BenchmarkKeep(b *testing.B) {
	c := compiled(b, keeping+clusterwide("c", "{enforced: {allowPrivilegeEscalation: false, nodeSelector: {pool: users}}, hubEnv: ['*']}"))
	in := keptInput(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := c.Apply(in); err != nil || len(r.Denials) > 0 {
			b.Fatal(r.Denials, err)
		}
	}
}
