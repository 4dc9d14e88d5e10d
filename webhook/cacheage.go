package webhook

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// ages know when the API server last sent anything for each cache.
//
// Neither handlers nor transforms see a bookmark, the one thing that comes of a watch on which nothing happens: to
// them a broken watch and a quiet one are the same. A handler of watch errors hears nothing of a connection that is
// merely silent. So what lists and watches is wrapped.
//
// An API server sends no bookmarks for a kind of which it has seen no event since it started, unless etcd reports its
// progress to it. What is left then is that a client opens its watch anew after five to ten minutes: a healthy cache gets
// no older than that.
type ages struct {
	desc *prometheus.Desc
	// heard has a *lastHeard for each kind.
	heard sync.Map
}

// lastHeard is a time with the monotonic clock in it, so that nobody who sets the clock makes a cache older.
type lastHeard struct{ atomic.Pointer[time.Time] }

func (l *lastHeard) now() {
	now := time.Now()
	l.Store(&now)
}

// Describe is part of prometheus.Collector.
func (a *ages) Describe(to chan<- *prometheus.Desc) { to <- a.desc }

// Collect is part of prometheus.Collector.
func (a *ages) Collect(to chan<- prometheus.Metric) {
	a.heard.Range(func(kind, heard any) bool {
		last, ofKind := heard.(*lastHeard)
		name, named := kind.(string)
		if ofKind && named {
			to <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, time.Since(*last.Load()).Seconds(), name)
		}
		return true
	})
}

// informer makes informers whose age is known; a cache takes it for its own. Before the first word, the age counts from
// here.
func (a *ages) informer(lw toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	heard := a.follow(object.GetObjectKind().GroupVersionKind().Kind).now
	return toolscache.NewSharedIndexInformer(heardOf(lw, heard), object, resync, indexers)
}

func (a *ages) follow(kind string) *lastHeard {
	last := &lastHeard{}
	last.now()
	a.heard.Store(kind, last)
	return last
}

// heardOf calls heard whenever the API server has sent a list, an event or a bookmark.
func heardOf(lw toolscache.ListerWatcher, heard func()) toolscache.ListerWatcher {
	from := toolscache.ToListerWatcherWithContext(lw)
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := from.ListWithContext(ctx, o)
			if err == nil {
				heard()
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := from.WatchWithContext(ctx, o)
			if err != nil {
				return nil, err
			}
			return relay(events, heard), nil
		},
	}
}

// settled is how long a watch has to last to be heard of by that alone: behind a proxy that cuts it off again and again the
// cache grows old.
const settled = time.Second

// relay hands a watch on. (watch.Filter would leave a goroutine behind where the watch is stopped while it has an event.)
func relay(from watch.Interface, heard func()) watch.Interface {
	events, lasted := make(chan watch.Event), time.After(settled)
	to := watch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		defer from.Stop()
		for {
			select {
			case <-to.StopChan():
				return
			case <-lasted:
				heard()
			case event, open := <-from.ResultChan():
				if !open {
					return
				}
				if event.Type != watch.Error { // which may be made here, of a connection that broke
					heard()
				}
				select {
				case events <- event:
				case <-to.StopChan():
					return
				}
			}
		}
	}()
	return to
}
