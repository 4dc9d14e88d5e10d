package launcher

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy"
)

// trouble is why a server isn't running, by what its pod says.
type trouble struct {
	// reason of Kubernetes, by which it may be hopeless; "" where there is none, or it will pass.
	reason string
	// message is one sentence; "" where there is no trouble.
	message string
	// unmendable: its container has never run, so that it can't be one that runs again in a moment.
	unmendable bool
	// container whose log may tell more; "" where none has run. previous: that of its run before this one.
	container string
	previous  bool
}

// Reasons of Kubernetes that pods show, where no package has them by name.
const (
	reasonUnschedulable = corev1.PodReasonUnschedulable
	reasonOOM           = "OOMKilled"
	reasonCrash         = "CrashLoopBackOff"
	reasonInitializing  = "PodInitializing"
	reasonCreating      = "ContainerCreating"
	reasonConfig        = "CreateContainerConfigError"
	reasonImageName     = "InvalidImageName"
	reasonImageNever    = "ErrImageNeverPull"
)

// troubleOf finds the first thing that holds a pod up, in the order in which it has to get past them.
func troubleOf(pod *corev1.Pod) trouble {
	if isRunning(pod) {
		return trouble{}
	}
	if hasStopped(pod) {
		return endOf(pod)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason != corev1.PodReasonSchedulingGated {
			return trouble{reason: c.Reason, message: unschedulable(c.Message), unmendable: true}
		}
	}
	for _, s := range statuses(pod) {
		if t, has := troubleWith(pod, &s); has {
			return t
		}
	}
	return trouble{}
}

// unschedulable says what the scheduler said, without its word on preemption, in front of what it means.
func unschedulable(said string) string {
	said, _, _ = strings.Cut(said, " preemption: ")
	said = strings.TrimRight(strings.TrimSpace(said), ".")
	switch {
	case said == "":
		return "No node can take this server yet"
	case strings.Contains(said, "unbound immediate PersistentVolumeClaims"):
		return claimTrouble + " bound to a volume yet: " + said
	case strings.Contains(said, "persistentvolumeclaim") && strings.Contains(said, "not found"):
		return claimTrouble + " there yet: " + said
	case strings.Contains(said, "Insufficient"):
		return "No node has room for this server now; it starts when one has: " + said
	}
	return "No node can take this server yet: " + said
}

// claimTrouble begins what is said of claims.
const claimTrouble = "A claim of this server isn't"

// troubleWith says what a container waits for, or why it ended; false where there is nothing wrong with it.
func troubleWith(pod *corev1.Pod, s *corev1.ContainerStatus) (trouble, bool) {
	last := s.LastTerminationState.Terminated
	if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
		return trouble{reason: t.Reason, message: ended(pod, s.Name, t), container: s.Name}, true
	}
	w := s.State.Waiting
	if w == nil || w.Reason == "" || w.Reason == reasonInitializing || w.Reason == reasonCreating {
		return trouble{}, false
	}
	t := trouble{reason: w.Reason, message: waits(pod, s.Name, w), unmendable: last == nil && s.RestartCount == 0}
	if last != nil {
		t.container, t.previous = s.Name, true
		if w.Reason == reasonCrash {
			t.message = ended(pod, s.Name, last) + ", and is tried again"
			if last.Reason == reasonOOM {
				t.reason = reasonOOM
			}
		}
	}
	if w.Reason == reasonConfig && isEnvSecretMissing(pod, w.Message) {
		t.reason = "" // it comes a moment after its pod
	}
	return t, true
}

// waits says what a container waits for.
func waits(pod *corev1.Pod, container string, w *corev1.ContainerStateWaiting) string {
	image := imageOf(pod, container)
	switch w.Reason {
	case reasonImageName:
		return fmt.Sprintf("The image name %q of container %s isn't valid: policy has to name another", image, container)
	case reasonImageNever:
		return fmt.Sprintf("The image %s isn't on the node, and policy says that it is never pulled", image)
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return withDetail(fmt.Sprintf("The image %s can't be pulled", image), w.Message)
	case reasonConfig:
		return withDetail(fmt.Sprintf("Container %s can't be set up", container), w.Message)
	case "CreateContainerError", "RunContainerError", "PostStartHookError":
		return withDetail(fmt.Sprintf("Container %s can't be started", container), w.Message)
	}
	return "Container " + container + " waits: " + joined(w.Reason, w.Message)
}

func withDetail(what, detail string) string {
	detail = strings.TrimRight(strings.TrimSpace(detail), ".")
	if detail == "" {
		return what
	}
	return what + ": " + detail
}

func isEnvSecretMissing(pod *corev1.Pod, message string) bool {
	secret := pod.Annotations[policy.AnnotationEnvSecret]
	return secret != "" && strings.Contains(message, `secret "`+secret+`" not found`)
}

// ended says how a container ended.
func ended(pod *corev1.Pod, container string, t *corev1.ContainerStateTerminated) string {
	if t.Reason == reasonOOM {
		limit := ""
		if q, has := containerOf(pod, container).Resources.Limits[corev1.ResourceMemory]; has {
			limit = " of " + q.String()
		}
		if container == policy.NotebookContainer {
			return "The server used more memory than its limit" + limit + " and was killed"
		}
		return "Container " + container + " used more memory than its limit" + limit + " and was killed"
	}
	kind := "Container "
	if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == container }) {
		kind = "Init container "
	}
	said := fmt.Sprintf("%s%s ended with exit code %d", kind, container, t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		said += " (" + t.Reason + ")"
	}
	return withDetail(said, t.Message)
}

// endOf says why a server has stopped.
func endOf(pod *corev1.Pod) trouble {
	if said := joined(pod.Status.Reason, pod.Status.Message); said != "" {
		return trouble{reason: pod.Status.Reason, message: withDetail("The server's pod ended", said), unmendable: true}
	}
	for _, s := range statuses(pod) {
		if t := s.State.Terminated; t != nil && (t.ExitCode != 0 || s.Name == policy.NotebookContainer) {
			return trouble{reason: t.Reason, message: ended(pod, s.Name, t), unmendable: true, container: s.Name}
		}
	}
	return trouble{message: "The server's pod ended, and says no more than " + string(pod.Status.Phase), unmendable: true}
}

func imageOf(pod *corev1.Pod, container string) string { return containerOf(pod, container).Image }

// containerOf gives the container of a name; an empty one where there is none.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return &corev1.Container{}
}

// isHopeless says of a reason whether a server that starts fails for it.
func isHopeless(reasons []string) func(string) bool {
	return func(reason string) bool { return reason != "" && slices.Contains(reasons, reason) }
}
