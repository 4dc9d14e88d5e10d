package launcher

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// explain adds to what a pod says of its trouble what others know: its claims, and the log of a container that failed. What can't be had is left
// out.
func (l *Launcher) explain(ctx context.Context, r *record) string {
	const moment = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	t := &r.trouble
	switch {
	case t.reason == reasonUnschedulable && strings.HasPrefix(t.message, claimTrouble):
		if said := l.claimsTrouble(ctx, r); said != "" {
			return said
		}
	case t.container != "" && l.config.PodLogs:
		if lines := l.lastLines(ctx, r); lines != "" {
			return t.message + "; its last words: " + lines
		}
	}
	return t.message
}

// lastLines of a container's log.
func (l *Launcher) lastLines(ctx context.Context, r *record) string {
	const lines, bytes = 5, 2048
	text, err := l.client.CoreV1().Pods(r.Namespace).GetLogs(r.Name, &corev1.PodLogOptions{
		Container: r.trouble.container, Previous: r.trouble.previous, TailLines: new(int64(lines)), LimitBytes: new(int64(bytes)),
	}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "")), " ")
}

// claimsTrouble says what the pod's claims wait for; "" where nothing is wrong with them, or it can't be told.
func (l *Launcher) claimsTrouble(ctx context.Context, r *record) string {
	pod, err := l.client.CoreV1().Pods(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		name := v.PersistentVolumeClaim.ClaimName
		claim, err := l.client.CoreV1().PersistentVolumeClaims(r.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("Claim %s isn't there yet: %s", name, l.whyNoClaim(ctx, pod))
		case err != nil || claim.Status.Phase == corev1.ClaimBound:
			continue
		case claim.Status.Phase == corev1.ClaimLost:
			return fmt.Sprintf("Claim %s has lost its volume: an administrator has to look at it", name)
		}
		class := "the cluster's default class"
		if claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName != "" {
			class = "storage class " + *claim.Spec.StorageClassName
		}
		said := l.lastEvent(ctx, "PersistentVolumeClaim", claim, "")
		return withDetail(fmt.Sprintf("Claim %s isn't bound to a volume yet, by %s", name, class), said)
	}
	return ""
}

// whyNoClaim: the companion controller makes it, and says in an event of the pod why it can't. A quota that leaves no room for a claim is a
// reason which that event may be too young to tell.
func (l *Launcher) whyNoClaim(ctx context.Context, pod *corev1.Pod) string {
	if said := l.lastEvent(ctx, "Pod", pod, reasonClaimNotMade); said != "" {
		return said
	}
	quotas, err := l.client.CoreV1().ResourceQuotas(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "Slipway makes it in a moment"
	}
	for i := range quotas.Items {
		q := &quotas.Items[i]
		for _, resource := range []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage} {
			hard, has := q.Status.Hard[resource]
			used := q.Status.Used[resource]
			if has && used.Cmp(hard) >= 0 {
				return fmt.Sprintf("quota %s of namespace %s has no %s left (%s of %s used)", q.Name, pod.Namespace, resource, used.String(), hard.String())
			}
		}
	}
	return "Slipway makes it in a moment"
}

// reasonClaimNotMade is that of the events of a pod in which Slipway's controller says why it makes no claim.
const reasonClaimNotMade = "ClaimNotMade"

// lastEvent is the message of the latest warning about an object, else of the latest event; "" where there is none. An empty reason
// stands for any.
func (l *Launcher) lastEvent(ctx context.Context, kind string, of metav1.Object, reason string) string {
	list, err := l.client.CoreV1().Events(of.GetNamespace()).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + of.GetName(),
	})
	if err != nil {
		return ""
	}
	var latest *corev1.Event
	for i := range list.Items {
		e := &list.Items[i]
		if e.InvolvedObject.UID != of.GetUID() || reason != "" && e.Reason != reason {
			continue
		}
		if latest == nil || isWarning(e) && !isWarning(latest) || isWarning(e) == isWarning(latest) && !timeOf(e).Before(timeOf(latest)) {
			latest = e
		}
	}
	if latest == nil {
		return ""
	}
	return strings.TrimRight(latest.Message, ".")
}

func isWarning(e *corev1.Event) bool { return e.Type == corev1.EventTypeWarning }

// timeOf an event is when it happened last. Which field has that depends on who wrote it, and by which API.
func timeOf(e *corev1.Event) time.Time {
	var last time.Time
	if e.Series != nil {
		last = e.Series.LastObservedTime.Time
	}
	return cmp.Or(last, e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
}
