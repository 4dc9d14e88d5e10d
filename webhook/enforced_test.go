package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// led is a leader at work, in a bubble of synctest, and what it sees of the cluster.
type led struct {
	*enforcement
	cache  *stored
	leases toolscache.Store
	// deaf keeps the cache from hearing of writes.
	deaf bool

	// What follows is guarded by the cache's lock: synctest.Wait lets the test see what the leader did, and not the other
	// way round.

	// wrote has each status that was written: "name Status message".
	wrote []string
	// fails, if set, is what becomes of the next write.
	fails error
	// tries counts writes, those that failed too.
	tries     int
	forgotten []string
	// keeps has a Lease stay though it should be forgotten.
	keeps  bool
	number int
}

// lead starts a term in which these policies exist, and no Lease yet.
func lead(t *testing.T, manifests ...string) *led {
	t.Helper()
	l := &led{cache: &stored{}, leases: toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)}
	l.cache.put(t, manifests...)
	for i := range l.cache.objects {
		l.cache.objects[i].SetResourceVersion("old")
	}
	l.enforcement = &enforcement{
		policies: l.cache, status: l, log: logr.Discard(), policiesChanged: newSignal(), leasesChanged: newSignal(),
		forget: func(_ context.Context, lease *coordinationv1.Lease) error {
			l.cache.mu.Lock()
			defer l.cache.mu.Unlock()
			l.forgotten = append(l.forgotten, lease.Name)
			if l.keeps {
				return errors.New("forbidden")
			}
			return l.leases.Delete(lease)
		},
	}
	return l
}

func (l *led) start(t *testing.T) {
	t.Helper()
	go l.follow(t.Context(), l.leases)
	synctest.Wait()
}

// Update is the API server's: it refuses an outdated object.
func (l *led) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	l.tries++
	if err := l.fails; err != nil {
		l.fails = nil
		return err
	}
	written := object.(*unstructured.Unstructured)
	for i := range l.cache.objects {
		o := &l.cache.objects[i]
		if o.GetUID() != written.GetUID() {
			continue
		}
		if o.GetResourceVersion() != written.GetResourceVersion() {
			return apierrors.NewConflict(schema.GroupResource{Resource: "policies"}, o.GetName(), errors.New("changed meanwhile"))
		}
		c := conditionOf(written)
		l.wrote = append(l.wrote, fmt.Sprintf("%s %s %s", o.GetName(), c.Status, c.Message))
		if !l.deaf {
			l.changed(o, func() { o.Object["status"] = written.Object["status"] })
		}
		return nil
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "policies"}, written.GetName())
}

// changed gives an object of the cache a new version.
func (l *led) changed(o *unstructured.Unstructured, change func()) {
	*o = *o.DeepCopy() // the leader may hold the old one
	change()
	l.number++
	o.SetResourceVersion(fmt.Sprint(l.number))
	l.policiesChanged.raise()
}

// edit makes a new generation.
func (l *led) edit(name string) {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	for i := range l.cache.objects {
		if o := &l.cache.objects[i]; o.GetName() == name {
			l.changed(o, func() { o.SetGeneration(o.GetGeneration() + 1) })
		}
	}
}

func (l *led) object(name string) *unstructured.Unstructured {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	for i := range l.cache.objects {
		if o := &l.cache.objects[i]; o.GetName() == name {
			return o
		}
	}
	return nil
}

// hash is that of all policies at this moment.
func (l *led) hash(t *testing.T) string {
	t.Helper()
	objects, err := listPolicies(t.Context(), l.cache)
	require.NoError(t, err)
	return hashOf(versionsOf(objects))
}

// report is a replica's Lease, with a version of its own each time.
func (l *led) report(t *testing.T, replica, hash string) {
	t.Helper()
	l.cache.mu.Lock()
	l.number++
	version := fmt.Sprint(l.number)
	l.cache.mu.Unlock()
	require.NoError(t, l.leases.Update(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: replica, ResourceVersion: version, Annotations: map[string]string{annotationPolicies: hash}},
		Spec:       coordinationv1.LeaseSpec{LeaseDurationSeconds: new(int32(15))},
	}))
	l.leasesChanged.raise()
	synctest.Wait()
}

// written gives each status that was written since it was asked last.
func (l *led) written() []string {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	defer func() { l.wrote = nil }()
	return l.wrote
}

// last is the last status that was written.
func (l *led) last() string {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	if len(l.wrote) == 0 {
		return ""
	}
	return l.wrote[len(l.wrote)-1]
}

// fail has the next write end like this.
func (l *led) fail(err error) {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	l.fails = err
}

func conditionOf(o *unstructured.Unstructured) metav1.Condition {
	status, err := statusOfPolicy(o)
	if err != nil {
		return metav1.Condition{Message: err.Error()}
	}
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionEnforced); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// inCourse is a second policy.
const inCourse = "kind: SpawnPolicy\nmetadata: {name: course, namespace: a}\nspec: {defaults: {image: b}}"

func TestEnforcedOnceEveryReplicaHasReportedAndOldAnswersAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.start(t)
		assert.Equal(t, "all False 0 of 0 replicas of the webhook answer by generation 1.", l.last(), "nobody is not everybody")
		l.report(t, "one", "older")
		l.report(t, "two", "older")
		assert.Equal(t, "all False 0 of 2 replicas of the webhook answer by generation 1.", l.last())
		l.report(t, "one", l.hash(t))
		assert.Equal(t, "all False 1 of 2 replicas of the webhook answer by generation 1.", l.last())
		pass(8 * time.Second)
		l.report(t, "two", "older")
		assert.Equal(t, "all False 1 of 2 replicas of the webhook answer by generation 1.", l.last())

		l.report(t, "two", l.hash(t))
		assert.Contains(t, l.last(), "all False All replicas of the webhook (2) answer by generation 1; what")
		pass(enforcedAfter - time.Millisecond)
		assert.Contains(t, l.last(), "False")
		pass(time.Millisecond)
		assert.Equal(t, "all True All replicas of the webhook (2) answer by generation 1.", l.last())

		got := l.object("all")
		c := conditionOf(got)
		assert.Equal(t, "AllReplicas", c.Reason)
		assert.Equal(t, int64(1), c.ObservedGeneration)
		assert.WithinDuration(t, time.Now(), c.LastTransitionTime.Time, time.Second)
		observed, _, err := unstructured.NestedInt64(got.Object, "status", "observedGeneration")
		require.NoError(t, err)
		assert.Equal(t, int64(1), observed)
	})
}

func TestEnforcedWaitsForAReplicaThatIsSilentUntilItsLeaseExpires(t *testing.T) {
	for name, keeps := range map[string]bool{"and is forgotten": false, "and can't be forgotten": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lead(t, everybody)
				l.keeps = keeps
				l.report(t, "silent", "older")
				l.start(t)
				for range 4 {
					l.report(t, "one", l.hash(t))
					pass(reportEvery)
				}
				assert.Equal(t, "all False 1 of 2 replicas of the webhook answer by generation 1.", l.last())
				pass(reportEvery - time.Millisecond)
				assert.Contains(t, l.last(), "1 of 2")
				pass(time.Millisecond)
				assert.Equal(t, "all True All replicas of the webhook (1) answer by generation 1.", l.last(), "the other's report is old enough")
				assert.Contains(t, l.forgotten, "silent", "nobody else clears it away")
			})
		})
	}
}

func TestEnforcedStartsAgainWithAGenerationThatComesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.report(t, "one", l.hash(t))
		l.start(t)
		pass(enforcedAfter - time.Millisecond)
		l.edit("all")
		pass(time.Millisecond)
		assert.Equal(t, "all False 0 of 1 replicas of the webhook answer by generation 2.", l.last())
		l.report(t, "one", l.hash(t))
		pass(enforcedAfter - time.Millisecond)
		assert.Contains(t, l.last(), "False")
		pass(time.Millisecond)
		assert.Equal(t, "all True All replicas of the webhook (1) answer by generation 2.", l.last())
	})
}

func TestEnforcedIsTakenBackByANewGenerationAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody, inCourse)
		l.report(t, "one", l.hash(t))
		l.start(t)
		pass(enforcedAfter)
		require.True(t, isEnforced(l.object("all")))
		require.True(t, isEnforced(l.object("course")))

		l.written()
		l.report(t, "one", l.hash(t))
		l.report(t, "two", "older") // joins
		pass(time.Minute)
		assert.Empty(t, l.written())

		l.edit("course")
		synctest.Wait()
		assert.Equal(t, "course False 0 of 0 replicas of the webhook answer by generation 2.", l.last())
		assert.Equal(t, int64(2), conditionOf(l.object("course")).ObservedGeneration)
		assert.True(t, isEnforced(l.object("all")))
		l.report(t, "one", l.hash(t))
		pass(enforcedAfter)
		assert.Equal(t, "course True All replicas of the webhook (1) answer by generation 2.", l.last())
		for _, w := range l.written() {
			assert.True(t, strings.HasPrefix(w, "course "), "wrote %s", w)
		}
	})
}

// Somebody may always be changing something somewhere.
func TestEnforcedIsNotHeldUpByChangesOfOtherPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody, inCourse)
		l.report(t, "one", l.hash(t))
		l.start(t)
		for range 6 {
			pass(time.Second)
			l.edit("course")
			l.report(t, "one", "a set in between")
			l.report(t, "one", l.hash(t))
		}
		assert.True(t, isEnforced(l.object("all")))
		assert.False(t, isEnforced(l.object("course")))
	})
}

func TestEnforcedIsWrittenAgainAfterAConflictOrAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.fail(apierrors.NewConflict(schema.GroupResource{}, "all", errors.New("changed meanwhile")))
		l.start(t)
		assert.Empty(t, l.written())
		pass(time.Hour)
		assert.Empty(t, l.written(), "the cache brings what has changed; until then there is nothing to try")
		l.edit("all")
		synctest.Wait()
		assert.Equal(t, "all False 0 of 0 replicas of the webhook answer by generation 2.", l.last())

		l.fail(errors.New("the API server is busy"))
		l.report(t, "one", "older")
		assert.Contains(t, l.last(), "0 of 0")
		pass(retryWrite)
		assert.Contains(t, l.last(), "0 of 1")
	})
}

func TestEnforcedWritesNothingOverAnObjectThatItKnowsToBeOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.deaf = true
		l.start(t)
		require.Len(t, l.written(), 1)
		l.report(t, "one", "older")
		pass(time.Second)
		assert.Empty(t, l.written())
	})
}

func TestEnforcedForgetsAPolicyThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.start(t)
		l.cache.put(t) // before the leader hears of it
		l.report(t, "one", "older")
		pass(time.Minute)
		l.cache.mu.Lock()
		assert.Equal(t, 2, l.tries, "the first, and one in vain")
		l.cache.mu.Unlock()
		l.policiesChanged.raise()
		synctest.Wait()
		assert.Empty(t, l.pending)
	})
}

func TestEnforcedLeavesOtherConditionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.cache.objects[0].Object["status"] = map[string]any{"conditions": []any{
			map[string]any{"type": "Ready", "status": "True", "reason": "Compiled", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
		}}
		l.start(t)
		status, err := statusOfPolicy(l.object("all"))
		require.NoError(t, err)
		assert.True(t, meta.IsStatusConditionTrue(status.Conditions, "Ready"))
		assert.True(t, meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionEnforced))
	})
}
