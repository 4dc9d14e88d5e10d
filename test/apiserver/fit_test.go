package apiserver

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/test/world"
)

var update = flag.Bool("update", false, "write the golden files anew")

// course is a policy that sets a bit of everything.
const course = `
kind: SpawnPolicy
metadata: {name: course}
spec:
  defaults:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    cmd: [jupyterhub-singleuser]
    memLimit: 4Gi
    memGuarantee: 1Gi
    uid: 1000
    fsGid: 100
    environment: {COURSE: data101}
    volumes: {home: {persistentVolumeClaim: {claimName: "{pvc_name}"}}}
    volumeMounts: {home: {mountPath: /home/jovyan}}
    initContainers: [{name: prepare, image: busybox, command: ["true"]}]
    extraContainers: [{name: database, image: "postgres:18"}]
    extraLabels: {course: data101}
    nodeSelector: {pool: users}
    tolerations: [{key: users, operator: Exists}]
`

// The second pass of in-tree admission fills what policy left open, so what is stored is more than the fitted pod; the
// golden file has all of it.
func TestSkeletonIsStoredFullyFitted(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	pod, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	golden(t, "stored.yaml", pod)

	stored, err := w.Admin.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, pod, stored, "what the launcher was answered is what is stored")
}

func TestLimitRangeFillsOnlyWhatPolicyLeftOpen(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	_, err := w.Admin.CoreV1().LimitRanges(ns).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type:           corev1.LimitTypeContainer,
			Default:        corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("700m"), corev1.ResourceMemory: resource.MustParse("300Mi")},
			DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("100Mi")},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.Put(t, ns, world.HubLaunches, course)
	var pod *corev1.Pod
	// The API server itself takes a moment to see the LimitRange.
	require.NoError(t, world.Eventually(t.Context(), func() error {
		pod, err = w.Launch(t, ns, nil)
		if err == nil && pod.Annotations["kubernetes.io/limit-ranger"] == "" {
			return w.Admin.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
		}
		return err
	}))
	resources := map[string]string{}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		data, err := json.Marshal(c.Resources)
		require.NoError(t, err)
		resources[c.Name] = string(data)
	}
	assert.Equal(t, map[string]string{
		"notebook": `{"limits":{"cpu":"700m","memory":"4Gi"},"requests":{"cpu":"50m","memory":"1Gi"}}`,
		"database": `{"limits":{"cpu":"700m","memory":"300Mi"},"requests":{"cpu":"50m","memory":"100Mi"}}`,
		"prepare":  `{"limits":{"cpu":"700m","memory":"300Mi"},"requests":{"cpu":"50m","memory":"100Mi"}}`,
	}, resources)
	assert.Contains(t, pod.Annotations["kubernetes.io/limit-ranger"], "cpu limit for container notebook",
		"it speaks of the fitted pod, not of the skeleton")
}

func TestPriorityIsComputedFromThePolicysClass(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	_, err := w.Admin.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: ns}, Value: 1234, PreemptionPolicy: new(corev1.PreemptNever),
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.Put(t, ns, world.HubLaunches, course, `
kind: SpawnPolicy
metadata: {name: priority}
spec: {defaults: {priorityClassName: NAMESPACE}}
`)
	var pod *corev1.Pod
	require.NoError(t, world.Eventually(t.Context(), func() error { // the API server takes a moment to see the class
		pod, err = w.Launch(t, ns, nil)
		return err
	}))
	assert.Equal(t, ns, pod.Spec.PriorityClassName)
	assert.Equal(t, int32(1234), *pod.Spec.Priority)
	assert.Equal(t, corev1.PreemptNever, *pod.Spec.PreemptionPolicy)
}

func TestTokenIsMountedAsPolicySays(t *testing.T) {
	w := world.ForTest(t)
	for name, c := range map[string]struct {
		settings string
		account  string
		mounted  bool
	}{
		"nothing said":               {`{}`, "default", false},
		"automount off":              {`{automountServiceAccountToken: false}`, "default", false},
		"automount on":               {`{automountServiceAccountToken: true}`, "default", true},
		"another account":            {`{serviceAccount: course}`, "course", true},
		"another account, but no to": {`{serviceAccount: course, automountServiceAccountToken: false}`, "course", false},
	} {
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, "course"))
			w.Put(t, ns, world.HubLaunches, course, `
kind: SpawnPolicy
metadata: {name: token}
spec: {defaults: `+c.settings+`}
`)
			pod, err := w.Launch(t, ns, nil)
			require.NoError(t, err)
			assert.Equal(t, c.account, pod.Spec.ServiceAccountName)
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				mounted := 0
				for _, m := range container.VolumeMounts {
					if m.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount" {
						mounted++
					}
				}
				assert.Equal(t, map[bool]int{true: 1, false: 0}[c.mounted], mounted, container.Name)
			}
			tokens := 0
			for _, v := range pod.Spec.Volumes {
				if v.Projected != nil {
					tokens++
				}
			}
			assert.Equal(t, map[bool]int{true: 1, false: 0}[c.mounted], tokens, "volumes with a token")
		})
	}
}

func TestPodsWithoutTheHubLabelAreUntouched(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	before, _ := w.Gate.Count()
	plain := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "plain-", Labels: map[string]string{"hub.jupyter.org/username": "alice"}, Finalizers: []string{"example.org/keep"}},
		Spec: corev1.PodSpec{
			HostNetwork: true,
			Containers:  []corev1.Container{{Name: "notebook", Image: "busybox", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}},
		},
	}
	pod, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), plain, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Equal(t, plain.Labels, pod.Labels)
	assert.Empty(t, pod.Annotations)
	assert.Equal(t, plain.Finalizers, pod.Finalizers)
	assert.Equal(t, "busybox", pod.Spec.Containers[0].Image)
	assert.True(t, *pod.Spec.Containers[0].SecurityContext.Privileged)
	assert.True(t, pod.Spec.HostNetwork)
	after, _ := w.Gate.Count()
	assert.Equal(t, before, after, "the API server doesn't even ask")
}

// golden compares a stored pod, without what is new every time, with testdata/NAME, which -update writes.
func golden(t *testing.T, name string, pod *corev1.Pod) {
	t.Helper()
	clean := pod.DeepCopy()
	clean.ManagedFields, clean.UID, clean.ResourceVersion, clean.CreationTimestamp = nil, "", "", metav1.Time{}
	data, err := yaml.Marshal(clean)
	require.NoError(t, err)
	text := strings.ReplaceAll(string(data), pod.Namespace, "NAMESPACE")
	text = regexp.MustCompile(`"hash":"[0-9a-f]{16}"`).ReplaceAllString(text, `"hash":"HASH"`)
	file := "testdata/" + name
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "run with -update and read the difference")
}
