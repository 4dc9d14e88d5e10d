package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAnUpdateIsJudgedByWhatItChanges(t *testing.T) {
	c := compiled(t, withAdditions(""))
	running := asStored(t, fitted(t, c, aliceIn("research")).Pod)
	gated := running.DeepCopy()
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "queue"}}
	foreign := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}}
	for _, tc := range updates(running, gated, foreign) {
		t.Run(tc.name, func(t *testing.T) {
			after := tc.before.DeepCopy()
			tc.change(after)
			denials := Changed(tc.before, after, tc.sub)
			assert.Equal(t, tc.paths, fieldsOf(denials))
			for _, d := range denials {
				assert.Equal(t, FieldChanged, d.Code)
			}
		})
	}
}

// podUpdate is a change of a pod that exists, and the paths by which it is refused.
type podUpdate struct {
	name   string
	before *corev1.Pod
	change func(*corev1.Pod)
	sub    Subresource
	paths  []string
}

func updates(running, gated, foreign *corev1.Pod) []podUpdate {
	return []podUpdate{
		{"nothing", running, func(*corev1.Pod) {}, "", nil},
		{"an ordinary label", running, func(p *corev1.Pod) { p.Labels["x"] = "y" }, "", nil},
		{"an ordinary annotation", running, func(p *corev1.Pod) { p.Annotations["x"] = "y" }, "", nil},
		{"a finalizer gone", running, func(p *corev1.Pod) { p.Finalizers = nil }, "", nil},
		{"the hub label gone", running, func(p *corev1.Pod) { delete(p.Labels, LabelHub) }, "", []string{"metadata.labels[slipway.dev/hub]"}},
		{"both marks gone", running, func(p *corev1.Pod) { delete(p.Labels, LabelHub); delete(p.Annotations, AnnotationApplied) }, "",
			[]string{"metadata.annotations[slipway.dev/applied]", "metadata.labels[slipway.dev/hub]"}},
		{"another user", running, func(p *corev1.Pod) { p.Annotations[AnnotationUsername] = "bob" }, "", []string{"metadata.annotations[hub.jupyter.org/username]"}},
		{"groups added", running, func(p *corev1.Pod) { p.Annotations[AnnotationGroups] = `["staff"]` }, "", []string{"metadata.annotations[slipway.dev/groups]"}},
		{"a label of policy's", running, func(p *corev1.Pod) { p.Labels["course"] = "b" }, "", []string{"metadata.labels[course]"}},
		{"an annotation of policy's", running, func(p *corev1.Pod) { delete(p.Annotations, "owner") }, "", []string{"metadata.annotations[owner]"}},
		{"an owner", running, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "r", Controller: new(true)}}
		}, "", []string{"metadata.ownerReferences"}},
		{"an image", running, func(p *corev1.Pod) { notebook(p).Image = "quay.io/b" }, "", []string{"spec.containers[notebook].image"}},
		{"a toleration", running, func(p *corev1.Pod) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
		}, "", []string{"spec.tolerations[1]"}},
		{"a toleration like the API server's own", running, func(p *corev1.Pod) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(1))})
		}, "", []string{"spec.tolerations[1]"}},
		{"an end", running, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(1)) }, "", []string{"spec.activeDeadlineSeconds"}},
		{"an end, while it is deleted", running, func(p *corev1.Pod) {
			p.DeletionTimestamp = &metav1.Time{}
			p.Spec.ActiveDeadlineSeconds = new(int64(1))
		}, "", []string{"spec.activeDeadlineSeconds"}},
		{"a size by an update of the pod", running, func(p *corev1.Pod) { notebook(p).Resources.Limits[corev1.ResourceMemory] = quantityOf("3Gi") }, "", []string{"spec.containers[notebook].resources.limits[memory]"}},
		{"a size by a resize", running, func(p *corev1.Pod) { notebook(p).Resources.Limits[corev1.ResourceMemory] = quantityOf("3Gi") }, Resize, nil},
		{"an image by a resize", running, func(p *corev1.Pod) { notebook(p).Image = "quay.io/b" }, Resize, []string{"spec.containers[notebook].image"}},
		{"an ephemeral container by an update of the pod", running, addEphemeral("quay.io/x"), "", []string{"spec.ephemeralContainers[debug]"}},
		{"an ephemeral container", running, addEphemeral("quay.io/x"), EphemeralContainers, nil},
		{"a gate opened, and narrowed", gated, func(p *corev1.Pod) {
			p.Spec.SchedulingGates = nil
			p.Spec.NodeSelector = map[string]string{"pool": "users", "queue": "a"}
		}, "", nil},
		{"a gate opened, and an image", gated, func(p *corev1.Pod) { p.Spec.SchedulingGates, notebook(p).Image = nil, "quay.io/b" }, "", []string{"spec.containers[notebook].image"}},
		{"a foreign pod's label", foreign, func(p *corev1.Pod) { p.Labels["app"] = "y" }, "", nil},
		{"a foreign pod that opts in", foreign, func(p *corev1.Pod) { p.Labels[LabelHub] = "main" }, "", []string{"metadata.labels[slipway.dev/hub]"}},
		{"a foreign pod that claims to be fitted", foreign, func(p *corev1.Pod) { p.Annotations = map[string]string{AnnotationApplied: "{}"} }, "", []string{"metadata.annotations[slipway.dev/applied]"}},
	}
}

func addEphemeral(image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Image: image, SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)},
		}})
	}
}

func TestASubresourceIsHeldAgainstTodaysPolicies(t *testing.T) {
	c := compiled(t, withAdditions(""))
	running := asStored(t, fitted(t, c, aliceIn("research")).Pod)
	resized := func(memory string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { notebook(p).Resources.Limits[corev1.ResourceMemory] = quantityOf(memory) }
	}
	loose := compiled(t, baseline)
	tight := compiled(t, baseline+clusterwide("tight", `{constraints: {memLimit: {max: 1Gi}, image: {allow: ["docker.io/*"]}}}`))
	for _, tc := range []struct {
		name     string
		policies *Compiled
		change   func(*corev1.Pod)
		codes    []Code
	}{
		{"a size within bounds", c, resized("3Gi"), nil},
		{"a size beyond", c, resized("5Gi"), []Code{ConstraintViolated}},
		{"a size where the policy has become tighter", tight, resized("3Gi"), []Code{ConstraintViolated}},
		{"a size where the policy enforces less by now", compiled(t, baseline+clusterwide("less", `{enforced: {memLimit: 1Gi}}`)), resized("64Gi"), []Code{FieldChanged}},
		{"the size that is enforced by now", compiled(t, baseline+clusterwide("less", `{enforced: {memLimit: 1Gi}}`)), resized("1Gi"), nil},
		{"a size that was none where policy enforces one by now", compiled(t, baseline+clusterwide("cpu", `{enforced: {cpuLimit: 1}}`)), func(p *corev1.Pod) {
			notebook(p).Resources.Limits[corev1.ResourceCPU] = quantityOf("64")
		}, []Code{FieldChanged}},
		{"a size where the policy enforces something else by now", compiled(t, baseline+clusterwide("less", `{enforced: {cpuLimit: 1}}`)), resized("3Gi"), nil},
		{"a size that the policy doesn't name any more", loose, resized("64Gi"), nil},
		{"an ephemeral container", loose, addEphemeral("anything"), nil},
		{"an ephemeral container of a forbidden image", compiled(t, baseline+clusterwide("images", `{constraints: {image: {allow: ["quay.io/*"]}}}`)), addEphemeral("evil"), []Code{ConstraintViolated}},
		{"a privileged ephemeral container", c, func(p *corev1.Pod) {
			addEphemeral("quay.io/x")(p)
			p.Spec.EphemeralContainers[0].SecurityContext.Privileged = new(true)
		}, []Code{FieldChanged, ConstraintViolated}},
		{"an ephemeral container where nothing may be added", compiled(t, baseline+clusterwide("deny", "{additions: {mode: Deny}}")), addEphemeral("quay.io/x"), []Code{FieldChanged}},
		{"an ephemeral container that is listed", compiled(t, baseline+clusterwide("listed", "{additions: {mode: Listed, names: [debug*]}}")), addEphemeral("quay.io/x"), nil},
		{"no policy any more", compiled(t, clusterwide("none", "{hubs: [other]}")), addEphemeral("quay.io/x"), []Code{NoPolicy}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			after := running.DeepCopy()
			tc.change(after)
			var codes []Code
			for _, d := range tc.policies.Allows(aliceIn("research"), running, after) {
				codes = append(codes, d.Code)
			}
			assert.Equal(t, tc.codes, codes)
		})
	}
}

func TestWhatAnAdoptedPodIsDeniedForComesInOneOrder(t *testing.T) {
	after := &corev1.Pod{}
	after.Labels = map[string]string{LabelHub: "main", AnnotationApplied: "{}"}
	first := Changed(&corev1.Pod{}, after, "")
	require.Len(t, first, 2)
	for range 20 {
		assert.Equal(t, first, Changed(&corev1.Pod{}, after, ""))
	}
}
