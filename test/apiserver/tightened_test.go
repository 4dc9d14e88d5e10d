package apiserver

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// stored is a pod that was created while the policy changed.
type stored struct {
	at  time.Time
	uid int64
}

// creation creates pods at a rate until it is stopped, and notes when each was stored and by which generation it was fitted.
type creation struct {
	mu   sync.Mutex
	pods []stored
	// retried are those that were asked to come again, failed any others.
	retried int
	failed  []error
}

func (c *creation) note(uid int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	denied, isDenied := errors.AsType[*launcher.Denied](err)
	switch {
	case err == nil:
		c.pods = append(c.pods, stored{time.Now(), uid})
	case isDenied && denied.Retryable():
		c.retried++
	default:
		c.failed = append(c.failed, err)
	}
}

func (c *creation) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pods)
}

// create creates a server's pod as often as that in a second, until stop is closed.
func (c *creation) create(t *testing.T, w *world.World, ns string, perSecond int, stop <-chan struct{}, running *sync.WaitGroup) {
	t.Helper()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		running.Go(func() {
			id := policy.Identity{Name: fmt.Sprintf("jupyter-u%d", i), Hub: "main", User: fmt.Sprintf("u%d", i)}
			pod, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(id, ns), metav1.CreateOptions{})
			if err != nil {
				c.note(0, launcher.Explain(err))
				return
			}
			c.note(*pod.Spec.Containers[0].SecurityContext.RunAsUser, nil)
		})
	}
}

// Policy is tightened while 50 servers a second are created through two replicas: once the condition says so, no pod of the
// old policy is stored any more.
func TestNoPodOfAnOldPolicyIsStoredOnceTheNewOneIsEnforced(t *testing.T) {
	const perSecond, old, tight = 50, 1000, 2000
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course) // uid: 1000
	awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionTrue, "generation 1")
	w.Gate.Alternate.Store(true)
	defer w.Gate.Alternate.Store(false)

	made := &creation{}
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() { made.create(t, w, ns, perSecond, stop, &running) })
	until := func(n int) {
		require.NoError(t, world.Eventually(t.Context(), func() error {
			if have := made.count(); have < n {
				return fmt.Errorf("%d pods", have)
			}
			return nil
		}))
	}
	until(perSecond)
	written := time.Now()
	_, err := w.Policies("SpawnPolicy", ns).Patch(t.Context(), "course", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"defaults":{"uid":%d}}}`, tight), metav1.PatchOptions{})
	require.NoError(t, err)
	awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionTrue, "generation 2")
	enforcedAt := time.Now()
	until(made.count() + perSecond)
	close(stop)
	running.Wait()

	var lastOld time.Time
	for _, p := range made.pods {
		if p.uid == old {
			lastOld = p.at
			assert.False(t, p.at.After(enforcedAt), "a pod of the old policy was stored %s after the condition", p.at.Sub(enforcedAt))
		} else {
			assert.Equal(t, int64(tight), p.uid)
		}
	}
	assert.Empty(t, made.failed)
	t.Logf("%d pods; the last one of the old policy %s after the change, Enforced %s after it; %d asked to try again",
		len(made.pods), lastOld.Sub(written).Round(time.Millisecond), enforcedAt.Sub(written).Round(time.Millisecond), made.retried)
}
