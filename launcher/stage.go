package launcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var errDeleted = errors.New("was deleted while it started")

// progress tells each thing once.
type progress struct {
	say  func(Progress)
	said string
}

func (p *progress) tell(message string, pod *corev1.Pod) {
	if p.say == nil || message == p.said {
		return
	}
	p.said = message
	p.say(Progress{Message: message, Pod: pod})
}

// isRunning is KubeSpawner's notion: an address, and every container ready.
func isRunning(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" && len(pod.Status.ContainerStatuses) > 0 &&
		!slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return !s.Ready })
}

// failure says why a pod will never run; nil while it may.
func failure(pod *corev1.Pod) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return errDeleted
	case pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodSucceeded:
		return fmt.Errorf("ended instead of running: %s", ending(pod))
	}
	for _, s := range statuses(pod) {
		// Nothing but another policy mends that.
		if w := s.State.Waiting; w != nil && w.Reason == "InvalidImageName" {
			return fmt.Errorf("can't run: container %s: %s", s.Name, waiting(w))
		}
	}
	return nil
}

// ending says how a pod that ended did so: by itself (evicted, say), or by its containers.
func ending(pod *corev1.Pod) string {
	if why := joined(pod.Status.Reason, pod.Status.Message); why != "" {
		return why
	}
	var ends []string
	for _, s := range statuses(pod) {
		if t := s.State.Terminated; t != nil && (t.ExitCode != 0 || pod.Status.Phase == corev1.PodSucceeded) {
			ends = append(ends, fmt.Sprintf("container %s ended with exit code %d (%s)", s.Name, t.ExitCode, joined(t.Reason, t.Message)))
		}
	}
	if len(ends) == 0 {
		return "its phase is " + string(pod.Status.Phase)
	}
	return strings.Join(ends, ", ")
}

// stage says how far a pod got.
func stage(pod *corev1.Pod) string {
	if isRunning(pod) {
		return "Running"
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "Waiting for a node: " + joined(c.Reason, c.Message)
		}
	}
	if pod.Spec.NodeName == "" {
		return "Waiting for a node"
	}
	for _, s := range statuses(pod) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			return "Container " + s.Name + ": " + waiting(s.State.Waiting)
		case s.State.Running != nil && !s.Ready:
			return "Container " + s.Name + " has started"
		}
	}
	return "Starting on node " + pod.Spec.NodeName
}

// statuses are those of all containers, in the order in which they run.
func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

func waiting(w *corev1.ContainerStateWaiting) string { return joined(w.Reason, w.Message) }

// joined is "reason: message", or the one that there is.
func joined(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
}
