package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// sentBySkeleton is the managedFields entry that an API server 1.37 made for a bare skeleton sent by POST: defaults
// are in it, in-tree admission's additions aren't.
const sentBySkeleton = `{
  "f:metadata": {
    "f:annotations": {".": {}, "f:hub.jupyter.org/servername": {}, "f:hub.jupyter.org/username": {}},
    "f:labels": {".": {}, "f:hub.jupyter.org/username": {}, "f:slipway.dev/hub": {}}
  },
  "f:spec": {
    "f:containers": {"k:{\"name\":\"notebook\"}": {
      ".": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {}, "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}
    }},
    "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {},
    "f:securityContext": {}, "f:terminationGracePeriodSeconds": {}
  }
}`

// admittedSkeleton is a bare skeleton as the webhook gets it, with what in-tree admission has added.
func admittedSkeleton() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "jupyter-alice", Namespace: "research",
			Labels:      map[string]string{LabelHub: "main", LabelUsername: "alice"},
			Annotations: map[string]string{AnnotationUsername: "alice", AnnotationServername: "", "kubernetes.io/limit-ranger": "…"},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "hub", Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(sentBySkeleton),
			}},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst,
			SchedulerName: corev1.DefaultSchedulerName, TerminationGracePeriodSeconds: new(int64(30)),
			SecurityContext: &corev1.PodSecurityContext{}, EnableServiceLinks: new(true),
			ServiceAccountName: "default", DeprecatedServiceAccount: "default", Priority: new(int32(0)),
			Tolerations: []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}},
			Volumes:     []corev1.Volume{{Name: "kube-api-access-x7k2m"}},
			Containers: []corev1.Container{{
				Name: NotebookContainer, ImagePullPolicy: corev1.PullIfNotPresent,
				TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
				Resources:    corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}},
				VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access-x7k2m"}},
			}},
		},
	}
}

// sends adds a path to what the caller of a skeleton sent, as keys of fieldsV1: f:spec, f:hostNetwork.
func sends(t *testing.T, pod *corev1.Pod, keys ...string) {
	t.Helper()
	var nested any = struct{}{}
	for _, k := range slices.Backward(keys) {
		nested = map[string]any{k: nested}
	}
	added, err := json.Marshal(nested)
	require.NoError(t, err)
	all, more := &fieldpath.Set{}, &fieldpath.Set{}
	require.NoError(t, all.FromJSON(strings.NewReader(sentBySkeleton)))
	require.NoError(t, more.FromJSON(bytes.NewReader(added)))
	encoded, err := all.Union(more).ToJSON()
	require.NoError(t, err)
	pod.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(string(encoded))
}

func TestSurplusOfABareSkeletonIsNothing(t *testing.T) {
	paths, denials := Surplus(admittedSkeleton())
	assert.Empty(t, paths)
	assert.Empty(t, denials)
}

func TestSurplusNamesWhatTheCallerSentBesideIdentity(t *testing.T) {
	const notebook = `k:{"name":"notebook"}`
	for name, c := range map[string]struct {
		sent []string
		want string
	}{
		"a label":                {[]string{"f:metadata", "f:labels", "f:foo"}, "metadata.labels[foo]"},
		"a label with a domain":  {[]string{"f:metadata", "f:labels", "f:example.org/foo"}, "metadata.labels[example.org/foo]"},
		"an annotation":          {[]string{"f:metadata", "f:annotations", "f:foo"}, "metadata.annotations[foo]"},
		"the engine's own word":  {[]string{"f:metadata", "f:annotations", "f:" + AnnotationApplied}, "metadata.annotations[slipway.dev/applied]"},
		"a generated name":       {[]string{"f:metadata", "f:generateName"}, "metadata.generateName"},
		"an image":               {[]string{"f:spec", "f:containers", notebook, "f:image"}, "spec.containers[notebook].image"},
		"privileges":             {[]string{"f:spec", "f:containers", notebook, "f:securityContext", "f:privileged"}, "spec.containers[notebook].securityContext.privileged"},
		"a limit":                {[]string{"f:spec", "f:containers", notebook, "f:resources", "f:limits", "f:nvidia.com/gpu"}, "spec.containers[notebook].resources.limits[nvidia.com/gpu]"},
		"a port":                 {[]string{"f:spec", "f:containers", notebook, "f:ports", `k:{"containerPort":80,"protocol":"TCP"}`}, "spec.containers[notebook].ports[containerPort=80,protocol=TCP]"},
		"a mount":                {[]string{"f:spec", "f:containers", notebook, "f:volumeMounts", `k:{"mountPath":"/host"}`}, "spec.containers[notebook].volumeMounts[/host]"},
		"a second container":     {[]string{"f:spec", "f:containers", `k:{"name":"other"}`, "f:image"}, "spec.containers[other].image"},
		"an init container":      {[]string{"f:spec", "f:initContainers", `k:{"name":"notebook"}`, "f:name"}, "spec.initContainers[notebook].name"},
		"a field of the pod":     {[]string{"f:spec", "f:hostNetwork"}, "spec.hostNetwork"},
		"a service account":      {[]string{"f:spec", "f:serviceAccountName"}, "spec.serviceAccountName"},
		"a node selector":        {[]string{"f:spec", "f:nodeSelector", "f:kubernetes.io/arch"}, "spec.nodeSelector[kubernetes.io/arch]"},
		"pod security":           {[]string{"f:spec", "f:securityContext", "f:runAsUser"}, "spec.securityContext.runAsUser"},
		"a list item by value":   {[]string{"f:spec", "f:somethingNew", `v:"x"`}, "spec.somethingNew[x]"},
		"a list item by index":   {[]string{"f:spec", "f:somethingNew", "i:3"}, "spec.somethingNew[3]"},
		"something outside spec": {[]string{"f:status", "f:phase"}, "status.phase"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := admittedSkeleton()
			sends(t, pod, c.sent...)
			paths, denials := Surplus(pod)
			assert.Equal(t, []string{c.want}, paths)
			assert.Empty(t, denials)
		})
	}
}

func TestSurplusIsSorted(t *testing.T) {
	pod := admittedSkeleton()
	pod.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:hostPID":{},"f:affinity":{"f:nodeAffinity":{}}},"f:metadata":{"f:labels":{"f:b":{},"f:a":{}}}}`)
	paths, _ := Surplus(pod)
	assert.Equal(t, []string{"metadata.labels[a]", "metadata.labels[b]", "spec.affinity.nodeAffinity", "spec.hostPID"}, paths)
}

func TestSurplusNamesLeavesAndNotWhatTheyStandIn(t *testing.T) {
	pod := admittedSkeleton()
	pod.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:volumes":{".":{},"k:{\"name\":\"host\"}":{".":{},"f:name":{}}}}}`)
	paths, _ := Surplus(pod)
	assert.Equal(t, []string{"spec.volumes[host].name"}, paths)
}

func TestSurplusCountsADefaultedFieldOnlyIfItsValueIsAnother(t *testing.T) {
	for want, change := range map[string]func(*corev1.Pod){
		"spec.restartPolicy":                               func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever },
		"spec.dnsPolicy":                                   func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSNone },
		"spec.schedulerName":                               func(p *corev1.Pod) { p.Spec.SchedulerName = "mine" },
		"spec.terminationGracePeriodSeconds":               func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = new(int64(31)) },
		"spec.enableServiceLinks":                          func(p *corev1.Pod) { p.Spec.EnableServiceLinks = new(false) },
		"spec.containers[notebook].imagePullPolicy":        func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever },
		"spec.containers[notebook].terminationMessagePath": func(p *corev1.Pod) { p.Spec.Containers[0].TerminationMessagePath = "/etc/passwd" },
		"spec.containers[notebook].terminationMessagePolicy": func(p *corev1.Pod) {
			p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
		},
	} {
		t.Run(want, func(t *testing.T) {
			pod := admittedSkeleton()
			change(pod)
			paths, denials := Surplus(pod)
			assert.Equal(t, []string{want}, paths)
			assert.Empty(t, denials)
		})
	}
}

func TestSurplusTolerates(t *testing.T) {
	t.Run("what client-side apply writes", func(t *testing.T) {
		pod := admittedSkeleton()
		sends(t, pod, "f:metadata", "f:annotations", "f:"+corev1.LastAppliedConfigAnnotation)
		paths, denials := Surplus(pod)
		assert.Empty(t, paths)
		assert.Empty(t, denials)
	})
	t.Run("what server-side apply leaves out", func(t *testing.T) {
		pod := admittedSkeleton()
		pod.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:slipway.dev/hub":{}},"f:annotations":{}},
			"f:spec":{"f:containers":{"k:{\"name\":\"notebook\"}":{".":{},"f:name":{}}}}}`)
		paths, denials := Surplus(pod)
		assert.Empty(t, paths)
		assert.Empty(t, denials)
	})
	t.Run("the admission plugin AlwaysPullImages", func(t *testing.T) {
		pod := admittedSkeleton()
		pod.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
		paths, _ := Surplus(pod)
		assert.Empty(t, paths)
	})
}

func TestSurplusDenies(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		field  string
		says   string
	}{
		"no containers":   {func(p *corev1.Pod) { p.Spec.Containers = nil }, "spec.containers", "has 0"},
		"two containers":  {func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other"}) }, "spec.containers", "has 2"},
		"a doubled name":  {func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0]) }, "spec.containers", "has 2"},
		"another name":    {func(p *corev1.Pod) { p.Spec.Containers[0].Name = "shell" }, "spec.containers[0].name", `not "shell"`},
		"no entry":        {func(p *corev1.Pod) { p.ManagedFields = nil }, "metadata.managedFields", "there are 0"},
		"two entries":     {func(p *corev1.Pod) { p.ManagedFields = append(p.ManagedFields, p.ManagedFields[0]) }, "metadata.managedFields", "there are 2"},
		"an empty entry":  {func(p *corev1.Pod) { p.ManagedFields[0].FieldsV1 = nil }, "metadata.managedFields", "no fields"},
		"a garbled entry": {func(p *corev1.Pod) { p.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":`) }, "metadata.managedFields", "read its entry"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := admittedSkeleton()
			c.change(pod)
			_, denials := Surplus(pod)
			require.Len(t, denials, 1)
			assert.Equal(t, SkeletonNotBare, denials[0].Code)
			assert.Equal(t, c.field, denials[0].Field)
			assert.Contains(t, denials[0].Message, c.says)
		})
	}
}

func TestOwnedDeniesWhatDecidesOverAPodsLife(t *testing.T) {
	assert.Empty(t, Owned(admittedSkeleton()))
	pod := admittedSkeleton()
	pod.Finalizers = []string{"example.org/keep"}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "reaper"}}
	denials := Owned(pod)
	require.Len(t, denials, 2)
	for i, says := range []string{"example.org/keep", "ReplicaSet reaper"} {
		assert.Equal(t, SkeletonNotBare, denials[i].Code)
		assert.Contains(t, denials[i].Message, says)
	}
	assert.Equal(t, []string{"metadata.finalizers", "metadata.ownerReferences"}, []string{denials[0].Field, denials[1].Field})
}

func BenchmarkSurplus(b *testing.B) {
	pod := admittedSkeleton()
	b.ReportAllocs()
	for b.Loop() {
		if paths, denials := Surplus(pod); len(paths)+len(denials) > 0 {
			b.Fatal(paths, denials)
		}
	}
}
