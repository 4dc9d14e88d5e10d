package launcher

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-hub/slipway/policy"
)

// AllHubs in Config.Hubs stands for every hub; it is for people, whose rights are their own.
const AllHubs = "*"

// hubSelector selects the pods of the hubs.
func hubSelector(hubs []string) string {
	for _, hub := range hubs {
		if hub == AllHubs {
			return policy.LabelHub
		}
	}
	return policy.LabelHub + " in (" + strings.Join(hubs, ",") + ")"
}

// lister lists and watches one kind of object in one place.
type lister struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// selector of labels; "" for all.
	selector string
}

// informer fills a cache by a stream that begins with what is there, where the API server can do that.
func (l *Launcher) informer(of lister, kind runtime.Object, slim cache.TransformFunc, handler cache.ResourceEventHandler) cache.Controller {
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = of.selector
			list, err := of.list(ctx, o)
			return list, l.alive.note(ctx, err)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = of.selector
			w, err := of.watch(ctx, o)
			return w, l.alive.note(ctx, err)
		},
	}, l.client)
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: kind, Handler: handler, Transform: slim,
	})
	return controller
}

// podInformers has one for each namespace, or one for all: the hubs share it.
func (l *Launcher) podInformers() []cache.Controller {
	var all []cache.Controller
	for _, namespace := range l.namespaces() {
		pods := l.client.CoreV1().Pods(namespace)
		all = append(all, l.informer(lister{
			list:     func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) },
			watch:    pods.Watch,
			selector: hubSelector(l.config.Hubs),
		}, &corev1.Pod{}, l.slim, l.store.handler()))
	}
	return all
}

// namespaces that are watched; "" stands for all.
func (l *Launcher) namespaces() []string {
	if len(l.config.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return l.config.Namespaces
}

// liveness is whether watches can be had. A watch that breaks is begun anew; it is when that fails for a while that what is
// known grows old.
type liveness struct {
	mu    sync.Mutex
	since time.Time
	err   error
}

// note takes in how the last try went, and gives its error.
func (l *liveness) note(ctx context.Context, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.err = nil
	case ctx.Err() == nil && l.err == nil:
		l.since, l.err = time.Now(), err
	case ctx.Err() == nil:
		l.err = err
	}
	return err
}

// last is the error of the last try; nil where it went well.
func (l *liveness) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// staleAfter is how long watches may fail until a launcher isn't ready any more: an API server that is replaced takes less.
const staleAfter = 30 * time.Second

func (l *liveness) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil || time.Since(l.since) < staleAfter {
		return nil
	}
	return fmt.Errorf("the API server can't be watched since %s: %w", l.since.UTC().Format(time.RFC3339), l.err)
}
