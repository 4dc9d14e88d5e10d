package apiserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

func TestSkeletonWithoutWebhookIsRefusedByTheAPIServer(t *testing.T) {
	assert.ErrorContains(t, world.ForTest(t).WithoutWebhook, "spec.containers[0].image: Required value")
}

// slips are what a launcher may try to bring in beside identity, with the path that names it.
var slips = map[string]struct {
	change func(*corev1.Pod)
	field  string
}{
	"a label":       {func(p *corev1.Pod) { p.Labels["foo"] = "bar" }, "metadata.labels[foo]"},
	"an annotation": {func(p *corev1.Pod) { p.Annotations["example.org/foo"] = "bar" }, "metadata.annotations[example.org/foo]"},
	"an annotation for AppArmor": {func(p *corev1.Pod) {
		p.Annotations["container.apparmor.security.beta.kubernetes.io/notebook"] = "unconfined"
	}, "metadata.annotations[container.apparmor.security.beta.kubernetes.io/notebook]"},
	"the engine's own word": {func(p *corev1.Pod) { p.Annotations[policy.AnnotationApplied] = "{}" }, "metadata.annotations[slipway.dev/applied]"},
	"an image":              {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "evil" }, "spec.containers[notebook].image"},
	"a command":             {func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"sh"} }, "spec.containers[notebook].command"},
	"a variable": {func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LD_PRELOAD", Value: "/tmp/x"}}
	}, `spec.containers[notebook].env[LD_PRELOAD].value`},
	"a doubled variable": {func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
	}, `spec.containers[notebook].env[A]`},
	"a limit": {func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64")}
	}, "spec.containers[notebook].resources.limits[cpu]"},
	"privileges": {func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	}, "spec.containers[notebook].securityContext.privileged"},
	"a volume": {func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	}, "spec.volumes[host].hostPath.path"},
	"an account":       {func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }, "spec.serviceAccountName"},
	"the host network": {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "spec.hostNetwork"},
	"a node":           {func(p *corev1.Pod) { p.Spec.NodeName = "control-plane" }, "spec.nodeName"},
	"a node selector":  {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "gpu"} }, "spec.nodeSelector"},
	"a toleration":     {func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }, "spec.tolerations"},
	"a restart policy": {func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }, "spec.restartPolicy"},
	"a long goodbye":   {func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = new(int64(86400)) }, "spec.terminationGracePeriodSeconds"},
	"an init container": {func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "a", Image: "evil"}}
	}, "spec.initContainers[a].image"},
	"a forged entry of managedFields": {func(p *corev1.Pod) {
		p.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:slipway.dev/hub":{}}}}`),
		}}
		p.Spec.HostPID = true
	}, "spec.hostPID"},
	"an empty entry of managedFields": {func(p *corev1.Pod) {
		p.ManagedFields = []metav1.ManagedFieldsEntry{{}}
		p.Spec.HostPID = true
	}, "spec.hostPID"},
}

// fatal are what no mode lets in.
var fatal = map[string]struct {
	change func(*corev1.Pod)
	field  string
}{
	"a finalizer": {func(p *corev1.Pod) { p.Finalizers = []string{"example.org/keep"} }, "metadata.finalizers"},
	"an owner": {func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "reaper", UID: "1", Controller: new(true)}}
	}, "metadata.ownerReferences"},
	"two containers": {func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", Image: "evil"})
	}, "spec.containers"},
	"a doubled container, which hides its fields": {func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = "evil"
		p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
	}, "spec.containers"},
	"a container of another name": {func(p *corev1.Pod) { p.Spec.Containers[0].Name = "shell" }, "spec.containers[0].name"},
}

func TestStrictDeniesWhatIsSlippedIn(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	for name, slip := range slips {
		t.Run(name, func(t *testing.T) {
			_, err := w.Launch(t, ns, slip.change)
			world.RequireDenied(t, err, policy.SkeletonNotBare, slip.field)
		})
	}
	for name, slip := range fatal {
		t.Run(name, func(t *testing.T) {
			_, err := w.Launch(t, ns, slip.change)
			world.RequireDenied(t, err, policy.SkeletonNotBare, slip.field)
		})
	}
}

func TestStripStoresTheVeryPodThatABareSkeletonGives(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course, "\nkind: SpawnPolicy\nmetadata: {name: strip}\nspec: {skeleton: Strip}\n")
	bare, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	w.Remove(t, bare)
	for name, slip := range slips {
		t.Run(name, func(t *testing.T) {
			w.Warnings.Reset()
			pod, err := w.Launch(t, ns, slip.change)
			require.NoError(t, err)
			assert.Contains(t, w.Warnings.String(), slip.field, "the caller is told what was dropped")
			assert.Equal(t, bare.Spec, pod.Spec)
			assert.Equal(t, bare.Labels, pod.Labels)
			assert.Equal(t, bare.Annotations, pod.Annotations)
			assert.Empty(t, pod.Finalizers)
			assert.Empty(t, pod.OwnerReferences)
			w.Remove(t, pod)
		})
	}
	for name, slip := range fatal {
		t.Run(name, func(t *testing.T) {
			_, err := w.Launch(t, ns, slip.change)
			world.RequireDenied(t, err, policy.SkeletonNotBare, slip.field)
		})
	}
}

// A bare skeleton is bare however it is sent.
func TestBareSkeletonPassesByEveryVerbAndEncoding(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	skeleton := launcher.Skeleton(world.Alice, ns)
	encoded, err := runtime.Encode(world.Codec, skeleton)
	require.NoError(t, err)
	protobuf := w.HubConfig()
	protobuf.ContentType, protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"
	byProtobuf := kubernetes.NewForConfigOrDie(protobuf)

	for name, send := range map[string]func() (*corev1.Pod, error){
		"server-side apply": func() (*corev1.Pod, error) {
			return w.Hub.CoreV1().Pods(ns).Patch(t.Context(), world.Alice.Name, types.ApplyPatchType, encoded, metav1.PatchOptions{FieldManager: "hub"})
		},
		"protobuf": func() (*corev1.Pod, error) {
			return byProtobuf.CoreV1().Pods(ns).Create(t.Context(), skeleton, metav1.CreateOptions{})
		},
		"client-side kubectl apply": func() (*corev1.Pod, error) {
			if _, err := w.Cluster.Kubectl(t.Context(), strings.NewReader(string(encoded)), "apply", "-f", "-", "--as", "system:serviceaccount:jupyter:hub"); err != nil {
				return nil, err
			}
			return w.Hub.CoreV1().Pods(ns).Get(t.Context(), world.Alice.Name, metav1.GetOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod, err := send()
			require.NoError(t, err)
			assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", pod.Spec.Containers[0].Image)
			w.Remove(t, pod)
		})
	}
}

func TestWhatIsSlippedInIsFoundByEveryVerbAndEncoding(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	skeleton := launcher.Skeleton(world.Alice, ns)
	skeleton.Spec.HostPID = true
	encoded, err := runtime.Encode(world.Codec, skeleton)
	require.NoError(t, err)
	protobuf := w.HubConfig()
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"

	_, err = w.Hub.CoreV1().Pods(ns).Patch(t.Context(), world.Alice.Name, types.ApplyPatchType, encoded, metav1.PatchOptions{FieldManager: "hub"})
	world.RequireDenied(t, err, policy.SkeletonNotBare, "spec.hostPID")
	_, err = kubernetes.NewForConfigOrDie(protobuf).CoreV1().Pods(ns).Create(t.Context(), skeleton, metav1.CreateOptions{})
	world.RequireDenied(t, err, policy.SkeletonNotBare, "spec.hostPID")
}

func TestNameMustBeThePolicys(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	t.Run("a generated name", func(t *testing.T) {
		_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Name, p.GenerateName = "", "jupyter-alice" })
		world.RequireDenied(t, err, policy.NameMismatch, "metadata.generateName")
	})
	t.Run("a generated name beside the right one", func(t *testing.T) {
		_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.GenerateName = "jupyter-" })
		world.RequireDenied(t, err, policy.NameMismatch, "metadata.generateName")
	})
	t.Run("another user's", func(t *testing.T) {
		_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Name = "jupyter-bob" })
		world.RequireDenied(t, err, policy.NameMismatch, "metadata.name")
	})
}
