package main

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	ktesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/policy"
)

// What the toy kubelet makes of a pod, the notebook's image says by its name:
//
//	fail-pull   it can't be pulled
//	slow        it takes a while to be pulled
//	exit-N      the server ends at once, with exit code N
//	crash-N     the server runs, and ends a moment later with exit code N
var (
	exits   = regexp.MustCompile(`exit-(\d+)`)
	crashes = regexp.MustCompile(`crash-(\d+)`)
)

// crashAfter is how long one that crashes runs.
const crashAfter = time.Second

// runPod has a pod go its way, until it is gone.
func (c *cluster) runPod(ctx context.Context, pod *corev1.Pod) {
	image := ""
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == policy.NotebookContainer {
			image = pod.Spec.Containers[i].Image
		}
	}
	c.tell(pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned "+pod.Namespace+"/"+pod.Name+" to node1")
	c.tell(pod, corev1.EventTypeNormal, "Pulling", "Pulling image \""+image+"\"")
	switch {
	case strings.Contains(image, "fail-pull"):
		c.tell(pod, corev1.EventTypeWarning, "Failed", "Failed to pull image \""+image+"\": not found")
		c.setStatus(pod, corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}})
		return
	case strings.Contains(image, "slow"):
		c.setStatus(pod, corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}})
		if !after(ctx, c.slow) {
			return
		}
	}
	c.tell(pod, corev1.EventTypeNormal, "Pulled", "Container image \""+image+"\" already present on machine")
	if code, ends := codeIn(exits, image); ends {
		c.setStatus(pod, corev1.PodFailed, ended(code))
		return
	}
	c.tell(pod, corev1.EventTypeNormal, "Started", "Started container "+policy.NotebookContainer)
	c.setStatus(pod, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}})
	if code, ends := codeIn(crashes, image); ends && after(ctx, crashAfter) {
		c.setStatus(pod, corev1.PodFailed, ended(code))
	}
}

func after(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func codeIn(in *regexp.Regexp, image string) (int32, bool) {
	found := in.FindStringSubmatch(image)
	if found == nil {
		return 0, false
	}
	code, err := strconv.ParseInt(found[1], 10, 32)
	return int32(code), err == nil
}

func ended(code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}
}

// setStatus writes the status of all containers, unless the pod is gone or another has its name.
func (c *cluster) setStatus(pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) {
	object, err := c.client.Tracker().Get(podsResource, pod.Namespace, pod.Name)
	now, ok := object.(*corev1.Pod)
	if err != nil || !ok || now.UID != pod.UID {
		return
	}
	now = now.DeepCopy()
	now.ResourceVersion = c.version()
	now.Spec.NodeName = "node1"
	now.Status = corev1.PodStatus{Phase: phase, PodIP: "127.0.0.1"}
	for i := range now.Spec.Containers {
		now.Status.ContainerStatuses = append(now.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: now.Spec.Containers[i].Name, State: state, Ready: state.Running != nil,
		})
	}
	_ = c.client.Tracker().Update(podsResource, now, now.Namespace) // it may go at any moment
}

var eventsResource = corev1.SchemeGroupVersion.WithResource("events")

func (c *cluster) tell(pod *corev1.Pod, kind, reason, message string) {
	id := uuid.NewUUID()
	_ = c.client.Tracker().Create(eventsResource, &corev1.Event{ // its name is new
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name + "." + string(id), Namespace: pod.Namespace, UID: id, ResourceVersion: c.version(), CreationTimestamp: metav1.Now()},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		},
		Type: kind, Reason: reason, Message: message, Count: 1, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(),
	}, pod.Namespace)
}

// listEvents gives a list a version, from which it can be watched on.
func (c *cluster) listEvents(a ktesting.Action) (bool, runtime.Object, error) {
	object, err := c.client.Tracker().List(eventsResource, corev1.SchemeGroupVersion.WithKind("Event"), a.GetNamespace())
	if list, ok := object.(*corev1.EventList); ok {
		list.ResourceVersion = strconv.FormatInt(max(1, c.versions.Load()), 10)
	}
	return true, object, err
}
