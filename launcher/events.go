package launcher

import (
	"context"
	"iter"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// Events are those of a server's pod, the old ones first; with follow those that come too, until ctx ends. ErrNotFound where no pod of
// the server is there.
func (l *Launcher) Events(ctx context.Context, key Key, follow bool) (iter.Seq[*corev1.Event], error) {
	server, err := l.Get(key)
	if err != nil {
		return nil, err
	}
	return func(yield func(*corev1.Event) bool) {
		l.eachEvent(ctx, server.Namespace, server.Pod, types.UID(server.UID), follow, yield)
	}, nil
}

// podEvents gives the events of a pod, the old ones first, until ctx ends or they can't be had any more; then the channel is closed. They are
// watched only while somebody listens: there are far more of them than of pods.
func (l *Launcher) podEvents(ctx context.Context, namespace, name string, uid types.UID) <-chan *corev1.Event {
	events := make(chan *corev1.Event)
	go func() {
		defer close(events)
		l.eachEvent(ctx, namespace, name, uid, true, func(e *corev1.Event) bool {
			select {
			case events <- e:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return events
}

// eachEvent tells each event once for each time that it happened.
func (l *Launcher) eachEvent(ctx context.Context, namespace, name string, uid types.UID, follow bool, yield func(*corev1.Event) bool) {
	told := map[types.UID]int32{}
	tell := func(e *corev1.Event) bool {
		// Denials of earlier tries are events of a pod of that name too, without a uid.
		if e.InvolvedObject.UID != uid {
			return true
		}
		if count, has := told[e.UID]; has && count >= timesOf(e) {
			return true
		}
		told[e.UID] = timesOf(e)
		return yield(e)
	}
	for l.eventsOnce(ctx, namespace, name, follow, tell) {
		if !sleep(ctx, time.Second) {
			return
		}
	}
}

// timesOf says how often the same has happened.
func timesOf(e *corev1.Event) int32 {
	if e.Series != nil {
		return max(e.Count, e.Series.Count)
	}
	return e.Count
}

// eventsOnce tells the events that are there and those of one watch. False: don't try again.
func (l *Launcher) eventsOnce(ctx context.Context, namespace, name string, follow bool, tell func(*corev1.Event) bool) bool {
	api := l.client.CoreV1().Events(namespace)
	only := fields.SelectorFromSet(fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": name}).String()
	list, err := api.List(ctx, metav1.ListOptions{FieldSelector: only})
	if err != nil {
		if ctx.Err() == nil {
			l.log.V(1).Info("the events of a pod can't be read; its progress is told without them", "namespace", namespace, "pod", name)
		}
		again, _ := mayGoWell(err)
		return again && ctx.Err() == nil
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int {
		return timeOf(&a).Compare(timeOf(&b))
	})
	for i := range list.Items {
		if !tell(&list.Items[i]) {
			return false
		}
	}
	if !follow {
		return false
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return api.Watch(ctx, o)
		},
	})
	if err != nil {
		return false
	}
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case change, open := <-watcher.ResultChan():
			if !open {
				return true
			}
			if e, ok := change.Object.(*corev1.Event); ok && change.Type != watch.Deleted && !tell(e) {
				return false
			}
		}
	}
}
