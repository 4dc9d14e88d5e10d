package webhook

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// apiServer is one that lists nothing, and whose watches a test holds in its hand.
type apiServer struct {
	err     error
	watches chan *watch.FakeWatcher
}

func (a *apiServer) List(metav1.ListOptions) (runtime.Object, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &metav1.PartialObjectMetadataList{}, nil
}

func (a *apiServer) Watch(metav1.ListOptions) (watch.Interface, error) {
	if a.err != nil {
		return nil, a.err
	}
	w := watch.NewFake()
	a.watches <- w
	return w, nil
}

func ageOf(t *testing.T, a *ages) time.Duration {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(a)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Len(t, families[0].GetMetric(), 1)
	assert.Equal(t, "Namespace", families[0].GetMetric()[0].GetLabel()[0].GetValue())
	return time.Duration(families[0].GetMetric()[0].GetGauge().GetValue() * float64(time.Second))
}

func TestCacheIsAsOldAsTheLastWordOfTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &apiServer{watches: make(chan *watch.FakeWatcher, 1)}
		a := &ages{desc: cacheAges.desc}
		lw := toolscache.ToListerWatcherWithContext(heardOf(server, a.follow("Namespace").now))
		old := func() time.Duration {
			time.Sleep(time.Minute) //nolint:forbidigo // in a bubble, where it takes no time
			synctest.Wait()
			return ageOf(t, a)
		}
		assert.Equal(t, time.Minute, old(), "before the first word the age counts from the beginning")

		_, err := lw.ListWithContext(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Equal(t, time.Minute, old(), "a list makes it new")

		events, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Equal(t, time.Minute-settled, old(), "so does a watch that lasts")
		assert.Equal(t, 2*time.Minute-settled, old(), "but not again and again")

		sent := <-server.watches
		for _, event := range []watch.EventType{watch.Bookmark, watch.Added, watch.Modified, watch.Deleted} {
			go sent.Action(event, namespaceMetadata())
			assert.Equal(t, event, (<-events.ResultChan()).Type)
			assert.Equal(t, time.Minute, old(), event)
		}
		go sent.Error(&metav1.Status{})
		assert.Equal(t, watch.Error, (<-events.ResultChan()).Type)
		assert.Equal(t, 2*time.Minute, old(), "an error is no word")

		server.err = errors.New("no route to host")
		_, err = lw.ListWithContext(t.Context(), metav1.ListOptions{})
		require.ErrorIs(t, err, server.err)
		_, err = lw.WatchWithContext(t.Context(), metav1.ListOptions{})
		require.ErrorIs(t, err, server.err)
		assert.Equal(t, 3*time.Minute, old(), "nor is a failure")
		events.Stop()

		server.err = nil
		cut, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		(<-server.watches).Stop()
		assert.Equal(t, 4*time.Minute, old(), "nor a watch that is cut off at once")
		cut.Stop()
	})
}

// A bubble ends with a panic if a goroutine is left.
func TestWatchThatIsHandedOnEndsWithEitherSide(t *testing.T) {
	for name, end := range map[string]func(from *watch.FakeWatcher, to watch.Interface){
		"the API server ends it": func(from *watch.FakeWatcher, _ watch.Interface) { from.Stop() },
		"the cache stops it":     func(_ *watch.FakeWatcher, to watch.Interface) { to.Stop() },
		"the cache stops it, with an event": func(from *watch.FakeWatcher, to watch.Interface) {
			from.Add(namespaceMetadata())
			synctest.Wait()
			to.Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := watch.NewFake()
				to := relay(from, func() {})
				end(from, to)
				synctest.Wait()
				for open := true; open; {
					_, open = <-to.ResultChan()
				}
				assert.True(t, from.IsStopped())
			})
		})
	}
}
