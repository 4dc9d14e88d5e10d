package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// verifiedPolicies are a bit of everything that can be changed afterwards.
const verifiedPolicies = baseline + `
---
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: enforcing}
spec:
  namespaceSelector: {matchLabels: {tier: research}}
  enforced: {allowPrivilegeEscalation: false, privileged: false, nodeSelector: {pool: users}, environment: {HTTP_PROXY: "http://proxy"}, unset: [priorityClassName]}
  constraints: {memLimit: {max: 4Gi}, image: {allow: ["quay.io/*"]}}
---
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: course, namespace: research}
spec:
  ADDITIONS
  defaults:
    image: quay.io/a
    cmd: [run]
    memLimit: 2Gi
    uid: 1000
    extraLabels: {course: a}
    extraAnnotations: {owner: b}
    environment: {A: "1", B: "$(A)", EMPTY: ""}
    volumes: {home: {emptyDir: {}}, scratch: {emptyDir: {}}}
    volumeMounts: {home: {mountPath: /home}}
    initContainers: [{name: one, image: quay.io/one, resources: {limits: {memory: 1Gi}}}, {name: two, image: quay.io/two, resources: {limits: {memory: 1Gi}}}]
    tolerations: [{key: users, operator: Exists}]
    nodeAffinityRequired: [{matchExpressions: [{key: a, operator: Exists}]}]
`

func withAdditions(text string) string {
	return strings.Replace(verifiedPolicies, "ADDITIONS", text, 1)
}

// asStored is a pod as JSON reads it back, so that nothing of it is shared.
func asStored(t testing.TB, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	data, err := json.Marshal(pod)
	require.NoError(t, err)
	stored := &corev1.Pod{}
	require.NoError(t, json.Unmarshal(data, stored))
	return stored
}

func verify(t testing.TB, c *Compiled, in Input, pod *corev1.Pod) []Denial {
	t.Helper()
	denials, known := c.Verify(in, pod)
	require.True(t, known)
	return denials
}

func TestThePodThatWasFittedIsVerified(t *testing.T) {
	for _, mode := range []string{"", "additions: {mode: Allow}", "additions: {mode: Deny}", "additions: {mode: Listed, names: [mesh]}"} {
		c := compiled(t, withAdditions(mode))
		assert.Empty(t, verify(t, c, aliceIn("research"), asStored(t, fitted(t, c, aliceIn("research")).Pod)), mode)
	}
}

// tamperings are what a later webhook could do, and the path that tells it; "" where it may.
var tamperings = []struct {
	name   string
	change func(*corev1.Pod)
	path   string
}{
	{"another image", func(p *corev1.Pod) { notebook(p).Image = "quay.io/evil" }, "spec.containers[notebook].image"},
	{"an image outside the list in a sidecar", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "mesh", Image: "evil", Resources: corev1.ResourceRequirements{Limits: notebook(p).Resources.Limits}})
	}, "spec.containers[mesh].image"},
	{"another command", func(p *corev1.Pod) { notebook(p).Args = []string{"sh"} }, "spec.containers[notebook].args[0]"},
	{"more arguments", func(p *corev1.Pod) { notebook(p).Args = append(notebook(p).Args, "x") }, "spec.containers[notebook].args"},
	{"another user", func(p *corev1.Pod) { notebook(p).SecurityContext.RunAsUser = new(int64(0)) }, "spec.containers[notebook].securityContext.runAsUser"},
	{"escalation", func(p *corev1.Pod) { notebook(p).SecurityContext.AllowPrivilegeEscalation = new(true) }, "spec.containers[notebook].securityContext.allowPrivilegeEscalation"},
	{"privileged", func(p *corev1.Pod) { notebook(p).SecurityContext.Privileged = new(true) }, "spec.containers[notebook].securityContext.privileged"},
	{"a privileged init container", func(p *corev1.Pod) {
		p.Spec.InitContainers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true), AllowPrivilegeEscalation: new(false)}
	}, "spec.initContainers[one].securityContext.privileged"},
	{"the token of an account", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(true) }, "spec.automountServiceAccountToken"},
	{"more memory", func(p *corev1.Pod) { notebook(p).Resources.Limits[corev1.ResourceMemory] = quantityOf("3Gi") }, "spec.containers[notebook].resources.limits[memory]"},
	{"a container gone", func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.InitContainers[1:] }, "spec.initContainers[one]"},
	{"init containers in another order", func(p *corev1.Pod) {
		p.Spec.InitContainers[0], p.Spec.InitContainers[1] = p.Spec.InitContainers[1], p.Spec.InitContainers[0]
	}, "spec.initContainers[two]"},
	{"a variable gone", func(p *corev1.Pod) { notebook(p).Env = notebook(p).Env[1:] }, "spec.containers[notebook].env[A]"},
	{"a variable twice", func(p *corev1.Pod) {
		notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "HTTP_PROXY", Value: "evil"})
	}, "spec.containers[notebook].env[HTTP_PROXY]"},
	{"a variable that policy has empty", func(p *corev1.Pod) {
		n := notebook(p)
		n.Env[slices.IndexFunc(n.Env, func(v corev1.EnvVar) bool { return v.Name == "EMPTY" })].Value = "evil"
	}, "spec.containers[notebook].env[EMPTY].value"},
	{"a volume gone", func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[:1] }, "spec.volumes[scratch]"},
	{"another volume of that name", func(p *corev1.Pod) {
		p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}
	}, "spec.volumes[home].emptyDir"},
	{"a mount elsewhere", func(p *corev1.Pod) { notebook(p).VolumeMounts[0].SubPath = "x" }, ""},
	{"a toleration gone", func(p *corev1.Pod) { p.Spec.Tolerations = nil }, "spec.tolerations"},
	{"another pool", func(p *corev1.Pod) { p.Spec.NodeSelector["pool"] = "gpu" }, "spec.nodeSelector[pool]"},
	{"one more alternative to a required node", func(p *corev1.Pod) {
		terms := &p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		*terms = append(*terms, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpExists}}})
	}, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"},
	{"an enforced absence", func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-node-critical" }, "spec.priorityClassName"},
	{"a label changed", func(p *corev1.Pod) { p.Labels["course"] = "b" }, "metadata.labels[course]"},
	{"the slug changed", func(p *corev1.Pod) { p.Labels["app"] = "" }, "metadata.labels[app]"},
	{"an annotation gone", func(p *corev1.Pod) { delete(p.Annotations, "owner") }, "metadata.annotations[owner]"},
	{"the policies' annotation gone", func(p *corev1.Pod) { delete(p.Annotations, AnnotationApplied) }, "metadata.annotations[slipway.dev/applied]"},
	{"the policies' annotation broken", func(p *corev1.Pod) { p.Annotations[AnnotationApplied] = "{" }, "metadata.annotations[slipway.dev/applied]"},
	{"the policies' annotation shortened", func(p *corev1.Pod) {
		p.Annotations[AnnotationApplied] = strings.Replace(p.Annotations[AnnotationApplied], `"course",`, "", 1)
	}, "metadata.annotations[slipway.dev/applied]"},
	{"an owner", func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "reaper"}} }, "metadata.ownerReferences"},
}

func TestWhatWasChangedAfterwardsIsRefused(t *testing.T) {
	c := compiled(t, withAdditions(""))
	for _, tc := range tamperings {
		t.Run(tc.name, func(t *testing.T) {
			pod := asStored(t, fitted(t, c, aliceIn("research")).Pod)
			tc.change(pod)
			denials := verify(t, c, aliceIn("research"), pod)
			if tc.path == "" {
				assert.Empty(t, denials)
				return
			}
			assert.Contains(t, fieldsOf(denials), tc.path)
		})
	}
}

func fieldsOf(denials []Denial) []string {
	var fields []string
	for _, d := range denials {
		fields = append(fields, d.Field)
	}
	return fields
}

// meshLike is what a service mesh does: a container before the notebook, an init container, a volume, variables, annotations.
func meshLike(p *corev1.Pod) {
	limits := corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: notebook(p).Resources.Limits[corev1.ResourceMemory]}}
	safe := &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}
	p.Spec.Containers = append([]corev1.Container{{Name: "mesh-proxy", Image: "quay.io/proxy", Resources: limits, SecurityContext: safe}}, p.Spec.Containers...)
	p.Spec.InitContainers = append([]corev1.Container{{Name: "mesh-init", Image: "quay.io/init", Resources: limits, SecurityContext: safe}}, p.Spec.InitContainers...)
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "mesh-certs", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	n := notebook(p)
	n.VolumeMounts = append(n.VolumeMounts, corev1.VolumeMount{Name: "mesh-certs", MountPath: "/certs"})
	n.Env = append(n.Env, corev1.EnvVar{Name: "MESH", Value: "1"})
	p.Annotations["mesh.example.org/status"] = "injected"
	p.Labels["mesh.example.org/rev"] = "1"
}

func TestAdditionsAreAllowedAsPolicySays(t *testing.T) {
	for additions, want := range map[string]int{
		"": 0, "additions: {mode: Allow}": 0, "additions: {mode: Deny}": 7,
		`additions: {mode: Listed, names: ["mesh*", MESH]}`: 0, `additions: {mode: Listed, names: [mesh-proxy, mesh-init]}`: 5,
	} {
		t.Run(additions, func(t *testing.T) {
			c := compiled(t, withAdditions(additions))
			pod := asStored(t, fitted(t, c, aliceIn("research")).Pod)
			meshLike(pod)
			denials := verify(t, c, aliceIn("research"), pod)
			assert.Len(t, denials, want, "%v", denials)
			for _, d := range denials {
				assert.Equal(t, FieldChanged, d.Code)
			}
		})
	}
}

func TestTheStrictestAdditionsHold(t *testing.T) {
	spec := func(text string) *compiledPolicy {
		p := &v1alpha1.SpawnPolicySpec{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), p))
		return &compiledPolicy{spec: p}
	}
	listed, other := spec("additions: {mode: Listed, names: [a, b]}"), spec("additions: {mode: Listed, names: [b, c]}")
	both := additionsOf([]*compiledPolicy{listed, spec("{}"), other, spec("additions: {mode: Allow}")})
	assert.Equal(t, v1alpha1.AdditionsListed, both.mode)
	assert.False(t, both.lists("a"))
	assert.True(t, both.lists("b"))
	assert.Equal(t, v1alpha1.AdditionsDeny, additionsOf([]*compiledPolicy{listed, spec("additions: {mode: Deny}")}).mode)
}

func TestAPodOfOtherPoliciesIsNotKnown(t *testing.T) {
	before, after := compiled(t, withAdditions("")), compiled(t, strings.Replace(withAdditions(""), "uid: 1000", "uid: 1001", 1))
	pod := asStored(t, fitted(t, before, aliceIn("research")).Pod)
	_, known := after.Verify(aliceIn("research"), pod)
	assert.False(t, known)
	_, known = before.Verify(aliceIn("elsewhere"), pod)
	assert.False(t, known, "no policy is for that namespace")
}

// fillInExamples has a change for each row of the table, by pattern: what the API server itself may do.
var fillInExamples = map[string]func(*corev1.Pod){
	"spec.dnsPolicy":                     func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSClusterFirst },
	"spec.restartPolicy":                 func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways },
	"spec.schedulerName":                 func(p *corev1.Pod) { p.Spec.SchedulerName = corev1.DefaultSchedulerName },
	"spec.terminationGracePeriodSeconds": func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = new(int64(30)) },
	"spec.enableServiceLinks":            func(p *corev1.Pod) { p.Spec.EnableServiceLinks = new(true) },
	"spec.securityContext":               func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{} },
	"spec.serviceAccountName":            func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" },
	"spec.serviceAccount":                func(p *corev1.Pod) { p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = "default", "default" },
	"spec.imagePullSecrets":              func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "of-the-account"}} },
	"V":                                  func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, tokenVolume()) },
	"C.volumeMounts": func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, tokenVolume())
		notebook(p).VolumeMounts = append(notebook(p).VolumeMounts, corev1.VolumeMount{Name: "kube-api-access-x", MountPath: tokenMountPath, ReadOnly: true})
	},
	"spec.priority":          func(p *corev1.Pod) { p.Spec.Priority = new(int32(0)) },
	"spec.preemptionPolicy":  func(p *corev1.Pod) { p.Spec.PreemptionPolicy = new(corev1.PreemptLowerPriority) },
	"spec.priorityClassName": func(p *corev1.Pod) { p.Spec.PriorityClassName = "the-default-one" },
	"spec.overhead": func(p *corev1.Pod) {
		p.Spec.RuntimeClassName = new("kata")
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}
	},
	"spec.nodeSelector": func(p *corev1.Pod) {
		p.Spec.RuntimeClassName = new("kata")
		p.Spec.NodeSelector = map[string]string{"kata": "yes"}
	},
	"spec.tolerations": func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(300))}}
	},
	"annotations": func(p *corev1.Pod) { p.Annotations = map[string]string{"kubernetes.io/limit-ranger": "set"} },
	"C.resources.limits": func(p *corev1.Pod) {
		notebook(p).Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}
	},
	"C.resources.requests": func(p *corev1.Pod) {
		notebook(p).Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}
	},
	"spec.resources.requests": func(p *corev1.Pod) {
		p.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}, Requests: corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}}
	},
	"C.terminationMessagePath":   func(p *corev1.Pod) { notebook(p).TerminationMessagePath = corev1.TerminationMessagePathDefault },
	"C.terminationMessagePolicy": func(p *corev1.Pod) { notebook(p).TerminationMessagePolicy = corev1.TerminationMessageReadFile },
	"C.imagePullPolicy":          func(p *corev1.Pod) { notebook(p).ImagePullPolicy = corev1.PullAlways },
	"C.ports.protocol": func(p *corev1.Pod) {
		notebook(p).Ports = []corev1.ContainerPort{{Name: "a", ContainerPort: 1, Protocol: corev1.ProtocolTCP}}
	},
	"C.ports.hostPort": func(p *corev1.Pod) {
		p.Spec.HostNetwork = true
		notebook(p).Ports = []corev1.ContainerPort{{Name: "a", ContainerPort: 1, HostPort: 1}}
	},
	"C.env.valueFrom.fieldRef.apiVersion":     func(p *corev1.Pod) { notebook(p).Env[0].ValueFrom.FieldRef.APIVersion = "v1" },
	"C.env.valueFrom.fileKeyRef.optional":     func(p *corev1.Pod) { notebook(p).Env[0].ValueFrom.FileKeyRef.Optional = new(false) },
	"C.livenessProbe.*":                       func(p *corev1.Pod) { probeDefaults(notebook(p).LivenessProbe) },
	"C.readinessProbe.*":                      func(p *corev1.Pod) { probeDefaults(notebook(p).ReadinessProbe) },
	"C.startupProbe.*":                        func(p *corev1.Pod) { probeDefaults(notebook(p).StartupProbe) },
	"C.lifecycle.*":                           func(p *corev1.Pod) { notebook(p).Lifecycle.PostStart.HTTPGet.Path = "/" },
	"V.emptyDir":                              func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{} },
	"V.image.pullPolicy":                      func(p *corev1.Pod) { p.Spec.Volumes[0].Image.PullPolicy = corev1.PullAlways },
	"V.hostPath.type":                         func(p *corev1.Pod) { p.Spec.Volumes[0].HostPath.Type = new(corev1.HostPathUnset) },
	"V.secret.defaultMode":                    func(p *corev1.Pod) { p.Spec.Volumes[0].Secret.DefaultMode = new(int32(0o644)) },
	"V.configMap.defaultMode":                 func(p *corev1.Pod) { p.Spec.Volumes[0].ConfigMap.DefaultMode = new(int32(0o644)) },
	"V.downwardAPI.defaultMode":               func(p *corev1.Pod) { p.Spec.Volumes[0].DownwardAPI.DefaultMode = new(int32(0o644)) },
	"V.downwardAPI.items.fieldRef.apiVersion": func(p *corev1.Pod) { p.Spec.Volumes[0].DownwardAPI.Items[0].FieldRef.APIVersion = "v1" },
	"V.projected.defaultMode":                 func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.DefaultMode = new(int32(0o644)) },
	"V.projected.sources.serviceAccountToken.expirationSeconds": func(p *corev1.Pod) {
		p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = new(int64(3600))
	},
	"V.projected.sources.downwardAPI.items.fieldRef.apiVersion": func(p *corev1.Pod) {
		p.Spec.Volumes[0].Projected.Sources[0].DownwardAPI.Items[0].FieldRef.APIVersion = "v1"
	},
	"V.ephemeral.volumeClaimTemplate.spec.volumeMode": func(p *corev1.Pod) {
		p.Spec.Volumes[0].Ephemeral.VolumeClaimTemplate.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	},
	"V.iscsi.iscsiInterface": func(p *corev1.Pod) { p.Spec.Volumes[0].ISCSI.ISCSIInterface = "default" },
	"V.rbd.pool":             func(p *corev1.Pod) { p.Spec.Volumes[0].RBD.RBDPool = "rbd" },
	"V.rbd.user":             func(p *corev1.Pod) { p.Spec.Volumes[0].RBD.RadosUser = "admin" },
	"V.rbd.keyring":          func(p *corev1.Pod) { p.Spec.Volumes[0].RBD.Keyring = "/etc/ceph/keyring" },
	"V.azureDisk.*":          func(p *corev1.Pod) { p.Spec.Volumes[0].AzureDisk.FSType = new("ext4") },
	"V.scaleIO.storageMode":  func(p *corev1.Pod) { p.Spec.Volumes[0].ScaleIO.StorageMode = "ThinProvisioned" },
	"V.scaleIO.fsType":       func(p *corev1.Pod) { p.Spec.Volumes[0].ScaleIO.FSType = "xfs" },
}

func quantityOf(text string) resource.Quantity { return resource.MustParse(text) }

func probeDefaults(p *corev1.Probe) {
	p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold = 1, 10, 1, 3
	if p.HTTPGet != nil {
		p.HTTPGet.Path, p.HTTPGet.Scheme = "/", corev1.URISchemeHTTP
	}
}

func tokenVolume() corev1.Volume {
	return corev1.Volume{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(0o644)),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3607))}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
		},
	}}}
}

// beforeFillIn is a pod in which the row has something to fill in.
func beforeFillIn(pattern string) *corev1.Pod {
	probe := func() *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(1)}}}
	}
	c := corev1.Container{
		Name: NotebookContainer, LivenessProbe: probe(), ReadinessProbe: probe(), StartupProbe: probe(),
		Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(1)}}},
		Ports:     []corev1.ContainerPort{{Name: "a", ContainerPort: 1}},
		Env:       []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "a"}, FileKeyRef: &corev1.FileKeySelector{Key: "k"}}}},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
	if !strings.HasPrefix(pattern, "V.") {
		switch pattern {
		case "spec.overhead", "spec.nodeSelector":
			pod.Spec.RuntimeClassName = new("kata")
		case "C.ports.hostPort":
			pod.Spec.HostNetwork = true
		case "spec.resources.requests":
			pod.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: quantityOf("1")}}
		}
		return pod
	}
	items := []corev1.DownwardAPIVolumeFile{{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "a"}}}
	v := corev1.Volume{Name: "v"}
	switch source, _, _ := strings.Cut(strings.TrimPrefix(pattern, "V."), "."); source {
	case "image":
		v.Image = &corev1.ImageVolumeSource{Reference: "a"}
	case "hostPath":
		v.HostPath = &corev1.HostPathVolumeSource{Path: "/"}
	case "secret":
		v.Secret = &corev1.SecretVolumeSource{SecretName: "a"}
	case "configMap":
		v.ConfigMap = &corev1.ConfigMapVolumeSource{Items: []corev1.KeyToPath{{Key: "a"}}}
	case "downwardAPI":
		v.DownwardAPI = &corev1.DownwardAPIVolumeSource{Items: items}
	case "projected":
		v.Projected = &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
			ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "a"}, DownwardAPI: &corev1.DownwardAPIProjection{Items: items},
		}}}
	case "ephemeral":
		v.Ephemeral = &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "a"}}}
	case "iscsi":
		v.ISCSI = &corev1.ISCSIVolumeSource{IQN: "a"}
	case "rbd":
		v.RBD = &corev1.RBDVolumeSource{RBDImage: "a"}
	case "azureDisk":
		v.AzureDisk = &corev1.AzureDiskVolumeSource{DiskName: "a"}
	case "scaleIO":
		v.ScaleIO = &corev1.ScaleIOVolumeSource{Gateway: "a"}
	}
	pod.Spec.Volumes = []corev1.Volume{v}
	return pod
}

func TestWhatTheAPIServerFillsInIsNoAddition(t *testing.T) {
	for _, row := range fillIns {
		t.Run(row.pattern, func(t *testing.T) {
			change := fillInExamples[row.pattern]
			require.NotNil(t, change, "a row without a test")
			want := beforeFillIn(row.pattern)
			have := want.DeepCopy()
			change(have)
			require.NotEqual(t, want, have)
			found := comparePods(want, have)
			assert.Empty(t, found.changed)
			assert.Empty(t, found.added)

			fillInsByPattern[row.pattern] = &fillIn{is: func(place, any) bool { return false }}
			defer func() { fillInsByPattern[row.pattern] = &row }()
			if !strings.HasSuffix(row.pattern, "*") {
				assert.NotEmpty(t, comparePods(want, have).added, "without the row it is one")
			}
		})
	}
	assert.Len(t, fillInExamples, len(fillIns))
}

// What looks like something that the API server adds, and isn't.
func TestWhatOnlyLooksFilledInIsAnAddition(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"a token volume that is the host's disk": func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		},
		"a token for another audience": func(p *corev1.Pod) {
			v := tokenVolume()
			v.Projected.Sources[0].ServiceAccountToken.Audience = "vault"
			p.Spec.Volumes = []corev1.Volume{v}
		},
		"a token volume with one source more": func(p *corev1.Pod) {
			v := tokenVolume()
			v.Projected.Sources = append(v.Projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{}})
			p.Spec.Volumes = []corev1.Volume{v}
		},
		"a mount at the token's path of another volume": func(p *corev1.Pod) {
			notebook(p).VolumeMounts = []corev1.VolumeMount{{Name: "home", MountPath: tokenMountPath, ReadOnly: true}}
		},
		"a token that the pod doesn't get": func(p *corev1.Pod) {
			p.Spec.AutomountServiceAccountToken = new(false)
			p.Spec.Volumes = []corev1.Volume{tokenVolume()}
		},
		"a class of the cluster's own pods":       func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-node-critical" },
		"a toleration of everything":              func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} },
		"another account":                         func(p *corev1.Pod) { p.Spec.ServiceAccountName = "admin" },
		"another scheduler":                       func(p *corev1.Pod) { p.Spec.SchedulerName = "mine" },
		"a node selector without a runtime class": func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b"} },
		"the host's network":                      func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"a node":                                  func(p *corev1.Pod) { p.Spec.NodeName = "n" },
		"an annotation":                           func(p *corev1.Pod) { p.Annotations = map[string]string{"kubernetes.io/other": ""} },
	} {
		t.Run(name, func(t *testing.T) {
			want := beforeFillIn("")
			have := want.DeepCopy()
			change(have)
			want.Spec.AutomountServiceAccountToken = have.Spec.AutomountServiceAccountToken
			found := comparePods(want, have)
			assert.NotEmpty(t, append(found.changed, pathsOf(found.added)...))
		})
	}
}

func pathsOf(added []addition) []string {
	var paths []string
	for _, a := range added {
		paths = append(paths, a.path)
	}
	return paths
}

// keepPolicies govern pods that the hub makes itself.
const keepPolicies = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: keeping}
spec:
  skeleton: Keep
  hubEnv: ["JUPYTERHUB_*"]
  metadata: {deny: ["example.org/*"]}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]
  enforced: {allowPrivilegeEscalation: false, privileged: false, nodeSelector: {pool: users}, unset: [priorityClassName]}
  constraints: {image: {allow: ["quay.io/*"]}}
`

func TestAKeptPodIsVerifiedByKeepingItOnceMore(t *testing.T) {
	c := compiled(t, keepPolicies)
	in := aliceIn("research")
	in.Sent = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice", Labels: in.Identity.Labels(), Annotations: in.Identity.Annotations()},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: NotebookContainer, Image: "quay.io/a", Env: []corev1.EnvVar{{Name: "JUPYTERHUB_USER", Value: "alice"}}}}},
	}
	kept := asStored(t, fitted(t, c, in).Pod)
	assert.Empty(t, verify(t, c, in, kept))
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		path   string
	}{
		"a container, as a mesh adds": {meshLikeKept, ""},
		"the pool":                    {func(p *corev1.Pod) { p.Spec.NodeSelector["pool"] = "gpu" }, "spec.nodeSelector[pool]"},
		"the pool gone":               {func(p *corev1.Pod) { p.Spec.NodeSelector = nil }, "spec.nodeSelector"},
		"privileges":                  {func(p *corev1.Pod) { notebook(p).SecurityContext.Privileged = new(true) }, "spec.containers[notebook].securityContext.privileged"},
		"a denied annotation":         {func(p *corev1.Pod) { p.Annotations["example.org/x"] = "y" }, "metadata.annotations[example.org/x]"},
		"a variable that no hub may pass": {func(p *corev1.Pod) {
			notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "LD_PRELOAD", Value: "x"})
		}, "spec.containers[notebook].env[LD_PRELOAD]"},
		"an enforced absence":       {func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }, "spec.priorityClassName"},
		"another image":             {func(p *corev1.Pod) { notebook(p).Image = "evil" }, "spec.containers[notebook].image"},
		"policy's word of itself":   {func(p *corev1.Pod) { delete(p.Annotations, AnnotationApplied) }, "metadata.annotations[slipway.dev/applied]"},
		"no container for a server": {func(p *corev1.Pod) { p.Spec.Containers[0].Name = "other" }, "spec.containers"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := kept.DeepCopy()
			tc.change(pod)
			denials := verify(t, c, in, pod)
			if tc.path == "" {
				assert.Empty(t, denials)
				return
			}
			assert.Contains(t, fieldsOf(denials), tc.path)
		})
	}
}

func meshLikeKept(p *corev1.Pod) {
	safe := &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}
	p.Spec.Containers = append([]corev1.Container{{Name: "mesh-proxy", Image: "quay.io/proxy", SecurityContext: safe}}, p.Spec.Containers...)
	p.Annotations["mesh.example.net/status"] = "injected"
}

func TestKeepAndStricterAdditionsCannotBeCombined(t *testing.T) {
	c := compiled(t, keepPolicies+clusterwide("deny", "{additions: {mode: Deny}}"))
	in := aliceIn("research")
	d := denied(t, c, in)
	assert.Equal(t, PolicyInvalid, d[0].Code)
	assert.Equal(t, "spec.additions.mode", d[0].Field)
}
