package launcher

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// aPod is alice's, with this status.
func aPod(status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "research", Name: "jupyter-alice", UID: "1",
			Labels:      map[string]string{policy.LabelHub: "main"},
			Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationEnvSecret: "jupyter-alice-env-x7k2m9qa"},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "prepare", Image: "busybox:1"}},
			Containers: []corev1.Container{
				{Name: "proxy", Image: "envoy:1"},
				{
					Name: policy.NotebookContainer, Image: "lab:1", Ports: []corev1.ContainerPort{{Name: "notebook-port", ContainerPort: 9999}},
					Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}},
				},
			},
		},
		Status: status,
	}
}

func waitsFor(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func endedWith(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

func withNotebook(phase corev1.PodPhase, state, last corev1.ContainerState) corev1.PodStatus {
	s := corev1.ContainerStatus{Name: policy.NotebookContainer, State: state, LastTerminationState: last, Ready: state.Running != nil}
	if last.Terminated != nil {
		s.RestartCount = 2
	}
	return corev1.PodStatus{Phase: phase, PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{s}}
}

func withInit(phase corev1.PodPhase, state, last corev1.ContainerState) corev1.PodStatus {
	return corev1.PodStatus{Phase: phase, InitContainerStatuses: []corev1.ContainerStatus{{Name: "prepare", State: state, LastTerminationState: last}}}
}

func unscheduled(message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
	}}}
}

// One sentence for each state that a server can be in; progress says whether a start fails for it at once.
func TestEachStateHasOneSentence(t *testing.T) {
	var none corev1.ContainerState
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		status   corev1.PodStatus
		state    State
		hopeless bool
		exitCode *int32
		says     string
	}{
		"no room": {
			unscheduled("0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."),
			Pending, false, nil, "No node has room for this server now; it starts when one has: 0/3 nodes are available: 3 Insufficient memory",
		},
		"no fitting node": {
			unscheduled("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
			Pending, false, nil, "No node can take this server yet: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector",
		},
		"a claim without a volume": {
			unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
			Pending, false, nil, "A claim of this server isn't bound to a volume yet: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims",
		},
		"no claim": {
			unscheduled(`0/1 nodes are available: persistentvolumeclaim "claim-alice" not found.`),
			Pending, false, nil, `A claim of this server isn't there yet: 0/1 nodes are available: persistentvolumeclaim "claim-alice" not found`,
		},
		"just scheduled": {corev1.PodStatus{Phase: corev1.PodPending}, Pending, false, nil, "Waiting for a node"},
		"creating":       {withNotebook(corev1.PodPending, waitsFor("ContainerCreating", ""), none), Pending, false, nil, "Waiting for a node"},
		"no such image": {
			withNotebook(corev1.PodPending, waitsFor("ImagePullBackOff", `Back-off pulling image "lab:1": not found.`), none),
			Pending, false, nil, `The image lab:1 can't be pulled: Back-off pulling image "lab:1": not found`,
		},
		"an impossible image": {
			withNotebook(corev1.PodPending, waitsFor("InvalidImageName", "couldn't parse"), none),
			Failed, true, nil, `The image name "lab:1" of container notebook isn't valid: policy has to name another`,
		},
		"an image never pulled": {
			withNotebook(corev1.PodPending, waitsFor("ErrImageNeverPull", ""), none),
			Failed, true, nil, "The image lab:1 isn't on the node, and policy says that it is never pulled",
		},
		"before the Secret": {
			withNotebook(corev1.PodPending, waitsFor("CreateContainerConfigError", `secret "jupyter-alice-env-x7k2m9qa" not found`), none),
			Pending, false, nil, `Container notebook can't be set up: secret "jupyter-alice-env-x7k2m9qa" not found`,
		},
		"without another Secret": {
			withNotebook(corev1.PodPending, waitsFor("CreateContainerConfigError", `secret "course" not found`), none),
			Failed, true, nil, `Container notebook can't be set up: secret "course" not found`,
		},
		"a restart without its map": {
			withNotebook(corev1.PodRunning, waitsFor("CreateContainerConfigError", `configmap "course" not found`), endedWith(1, "Error", "")),
			Pending, true, nil, `Container notebook can't be set up: configmap "course" not found`,
		},
		"crashing": {
			withNotebook(corev1.PodRunning, waitsFor("CrashLoopBackOff", "back-off 10s"), endedWith(3, "Error", "no such module")),
			Pending, false, nil, "Container notebook ended with exit code 3: no such module, and is tried again",
		},
		"too little memory": {
			withNotebook(corev1.PodRunning, waitsFor("CrashLoopBackOff", "back-off 10s"), endedWith(137, "OOMKilled", "")),
			Pending, true, nil, "The server used more memory than its limit of 2Gi and was killed, and is tried again",
		},
		"ended by itself":                 {withNotebook(corev1.PodRunning, endedWith(0, "Completed", ""), none), Stopped, false, new(int32(0)), "Container notebook ended with exit code 0"},
		"ended while it waits for others": {withNotebook(corev1.PodPending, endedWith(2, "Error", ""), none), Pending, false, nil, "Container notebook ended with exit code 2"},
		"killed for memory":               {withNotebook(corev1.PodFailed, endedWith(137, "OOMKilled", ""), none), Stopped, true, new(int32(137)), "The server used more memory than its limit of 2Gi and was killed"},
		"evicted": {
			corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory. "},
			Stopped, false, new(int32(1)), "The server's pod ended: Evicted: The node was low on resource: memory",
		},
		"failed without words": {corev1.PodStatus{Phase: corev1.PodFailed}, Stopped, false, new(int32(1)), "The server's pod ended, and says no more than Failed"},
		"init container fails": {withInit(corev1.PodFailed, endedWith(4, "Error", ""), none), Stopped, false, new(int32(1)), "Init container prepare ended with exit code 4"},
		"init container crashes": {
			withInit(corev1.PodPending, waitsFor("CrashLoopBackOff", "back-off"), endedWith(4, "Error", "")),
			Pending, false, nil, "Init container prepare ended with exit code 4, and is tried again",
		},
		"running": {withNotebook(corev1.PodRunning, runs, none), Running, false, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server, why := serverOf(aPod(c.status), isHopeless(DefaultHopeless))
			assert.Equal(t, c.state, server.State)
			assert.Equal(t, c.exitCode, server.ExitCode)
			assert.Equal(t, c.says, server.Message)
			assert.Equal(t, c.hopeless, isHopeless(DefaultHopeless)(why.reason))
		})
	}
}

func TestHopelessReasonsCanBeSet(t *testing.T) {
	pod := aPod(withNotebook(corev1.PodPending, waitsFor("ImagePullBackOff", ""), corev1.ContainerState{}))
	server, _ := serverOf(pod, isHopeless([]string{"ImagePullBackOff"}))
	assert.Equal(t, Failed, server.State)
	pod = aPod(withNotebook(corev1.PodPending, waitsFor("InvalidImageName", ""), corev1.ContainerState{}))
	server, _ = serverOf(pod, isHopeless(nil))
	assert.Equal(t, Pending, server.State)
}

func TestWhereAServerIsReached(t *testing.T) {
	pod := aPod(corev1.PodStatus{})
	assert.Empty(t, ServerOf(pod).URL, "it has no address yet")
	pod.Status.PodIP = "10.0.0.1"
	assert.Equal(t, "http://10.0.0.1:9999", ServerOf(pod).URL)
	pod.Status.PodIP = "fd00::1"
	assert.Equal(t, "http://[fd00::1]:9999", ServerOf(pod).URL)
	pod.Annotations[policy.AnnotationConnect] = "https://jupyter-alice.research.svc:8443"
	assert.Equal(t, "https://jupyter-alice.research.svc:8443", ServerOf(pod).URL)
	pod = aPod(corev1.PodStatus{PodIP: "10.0.0.1"})
	pod.Spec.Containers[1].Ports = nil
	assert.Empty(t, ServerOf(pod).URL)
}

func TestAServerIsReadFromItsPod(t *testing.T) {
	s := ServerOf(aPod(corev1.PodStatus{}))
	assert.Equal(t, Key{Hub: "main", User: "alice"}, s.Key)
	assert.Equal(t, "x7k2m9qa", s.StartID8)
	pod := aPod(corev1.PodStatus{})
	pod.Annotations[policy.AnnotationEnvSecret] = "of-another-pod-env-x7k2m9qa"
	assert.Empty(t, ServerOf(pod).StartID8)
	pod.DeletionTimestamp = new(metav1.Now())
	assert.Equal(t, Stopping, ServerOf(pod).State)
}

func TestAStartIDIsEightLettersOfAnyText(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", "ä\x00", "01234567890123456789", "A"} {
		got := startID8(id)
		assert.Regexp(t, `^[a-z0-9]{8}$`, got)
		assert.False(t, seen[got])
		seen[got] = true
	}
	require.Equal(t, startID8("a"), startID8("a"))
}
