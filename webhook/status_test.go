package webhook

import (
	"context"
	"errors"
	"fmt"
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
	*statuses
	cache  *stored
	own    *policies
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
	l.own = &policies{reader: l.cache, now: time.Now, fitted: &fittings{}}
	l.statuses = &statuses{
		policies: l.cache, current: l.own.current.Load, status: l, log: logr.Discard(), policiesChanged: newSignal(), leasesChanged: newSignal(),
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
	require.NoError(t, l.own.refresh(t.Context()))
	l.own.swapped = []signal{l.policiesChanged}
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
		c := conditionOf(written, v1alpha1.ConditionEnforced)
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

// change has a policy of the cache changed by somebody else.
func (l *led) change(name string, change func(o *unstructured.Unstructured)) {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	for i := range l.cache.objects {
		if o := &l.cache.objects[i]; o.GetName() == name {
			l.changed(o, func() { change(o) })
		}
	}
}

// edit makes a new generation, and the leader's own replica answers by it; with another spec, if there is one.
func (l *led) edit(t *testing.T, name string, spec ...map[string]any) {
	t.Helper()
	l.change(name, func(o *unstructured.Unstructured) {
		o.SetGeneration(o.GetGeneration() + 1)
		for _, s := range spec {
			o.Object["spec"] = s
		}
	})
	require.NoError(t, l.own.refresh(t.Context()))
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
func (l *led) report(t *testing.T, replica, hash string, fitted ...string) {
	t.Helper()
	annotations := map[string]string{annotationPolicies: hash}
	for _, f := range fitted {
		annotations[annotationFitted] = f
	}
	l.cache.mu.Lock()
	l.number++
	version := fmt.Sprint(l.number)
	l.cache.mu.Unlock()
	require.NoError(t, l.leases.Update(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: replica, ResourceVersion: version, Annotations: annotations},
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

func conditionOf(o *unstructured.Unstructured, kind string) metav1.Condition {
	status, err := statusOfPolicy(o)
	if err != nil {
		return metav1.Condition{Message: err.Error()}
	}
	if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func isEnforced(o *unstructured.Unstructured) bool {
	c := conditionOf(o, v1alpha1.ConditionEnforced)
	return c.Status == metav1.ConditionTrue && c.ObservedGeneration == o.GetGeneration()
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// inCourse is a second policy.
const inCourse = "kind: SpawnPolicy\nmetadata: {name: course, namespace: a}\nspec: {defaults: {image: b}}"

func TestStatusIsWrittenAgainAfterAConflictOrAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.fail(apierrors.NewConflict(schema.GroupResource{}, "all", errors.New("changed meanwhile")))
		l.start(t)
		assert.Empty(t, l.written())
		pass(time.Hour)
		assert.Empty(t, l.written(), "the cache brings what has changed; until then there is nothing to try")
		l.edit(t, "all")
		synctest.Wait()
		assert.Equal(t, "all False 0 of 0 replicas of the webhook answer by generation 2.", l.last())

		l.fail(errors.New("the API server is busy"))
		l.report(t, "one", "older")
		assert.Contains(t, l.last(), "0 of 0")
		pass(retryWrite)
		assert.Contains(t, l.last(), "0 of 1")
	})
}

func TestStatusWritesNothingOverAnObjectThatItKnowsToBeOutdated(t *testing.T) {
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

func TestStatusForgetsAPolicyThatIsGone(t *testing.T) {
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
		assert.Empty(t, l.followed)
	})
}

func TestStatusLeavesOtherConditionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.cache.objects[0].Object["status"] = map[string]any{"conditions": []any{
			map[string]any{"type": "Audited", "status": "True", "reason": "ByAnother", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
		}}
		l.start(t)
		status, err := statusOfPolicy(l.object("all"))
		require.NoError(t, err)
		assert.True(t, meta.IsStatusConditionTrue(status.Conditions, "Audited"))
		assert.True(t, meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionEnforced))
	})
}

// statusOf reads a policy's status as it is stored.
func (l *led) statusOf(t *testing.T, name string) v1alpha1.SpawnPolicyStatus {
	t.Helper()
	status, err := statusOfPolicy(l.object(name))
	require.NoError(t, err)
	return status
}

// writes counts those so far, failed ones too.
func (l *led) writes() int {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	return l.tries
}

var (
	brokenSpec = map[string]any{"defaults": map[string]any{"workingDir": "{usernam}"}}
	mendedSpec = map[string]any{"profiles": []any{map[string]any{"slug": "small"}, map[string]any{"slug": "large"}}}
)

func TestReadyIsSaidAtOnceTogetherWithEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody, inCourse)
		l.report(t, "one", l.hash(t))
		l.start(t)
		status := l.statusOf(t, "course")
		assert.Equal(t, int64(1), status.ObservedGeneration)
		assert.Equal(t, new(int32(0)), status.Profiles)
		ready := conditionOf(l.object("course"), v1alpha1.ConditionReady)
		assert.Equal(t, metav1.ConditionTrue, ready.Status)
		assert.Equal(t, metav1.ConditionFalse, conditionOf(l.object("course"), v1alpha1.ConditionEnforced).Status)
		assert.Equal(t, 2, l.writes(), "one for each policy")
		pass(enforcedAfter)
		require.True(t, isEnforced(l.object("course")))

		pass(time.Minute)
		before, readySince := l.writes(), ready.LastTransitionTime
		l.edit(t, "course", brokenSpec)
		synctest.Wait()
		assert.Equal(t, before+1, l.writes())
		ready = conditionOf(l.object("course"), v1alpha1.ConditionReady)
		assert.Equal(t, metav1.ConditionFalse, ready.Status)
		assert.Equal(t, "Invalid", ready.Reason)
		assert.Contains(t, ready.Message, "spec.defaults.workingDir: ")
		assert.Equal(t, int64(2), ready.ObservedGeneration)
		assert.WithinDuration(t, time.Now(), ready.LastTransitionTime.Time, time.Second)
		assert.Equal(t, readySince.Unix(), conditionOf(l.object("all"), v1alpha1.ConditionReady).LastTransitionTime.Unix())
		assert.False(t, isEnforced(l.object("course")))
		assert.Equal(t, int64(2), l.statusOf(t, "course").ObservedGeneration)

		pass(time.Minute)
		brokenSince := ready.LastTransitionTime
		l.edit(t, "course", brokenSpec) // still
		synctest.Wait()
		ready = conditionOf(l.object("course"), v1alpha1.ConditionReady)
		assert.Equal(t, int64(3), ready.ObservedGeneration)
		assert.True(t, ready.LastTransitionTime.Equal(&brokenSince), "no transition")
		l.edit(t, "course", mendedSpec)
		synctest.Wait()
		ready = conditionOf(l.object("course"), v1alpha1.ConditionReady)
		assert.Equal(t, metav1.ConditionTrue, ready.Status)
		assert.False(t, ready.LastTransitionTime.Equal(&brokenSince))
		assert.Equal(t, new(int32(2)), l.statusOf(t, "course").Profiles)
	})
}

func TestStatusWaitsForTheLeadersOwnReplicaToHaveReadAPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.start(t)
		require.Equal(t, 1, l.writes())
		l.change("all", func(o *unstructured.Unstructured) { o.SetGeneration(2) }) // and the replica hasn't read it
		l.report(t, "one", l.hash(t))
		pass(enforcedAfter)
		assert.Equal(t, 1, l.writes(), "Ready of generation 1 beside Enforced of generation 2 would mislead")
		assert.Equal(t, int64(1), l.statusOf(t, "all").ObservedGeneration)
		require.NoError(t, l.own.refresh(t.Context()))
		synctest.Wait()
		assert.Equal(t, int64(2), conditionOf(l.object("all"), v1alpha1.ConditionReady).ObservedGeneration)
		assert.True(t, isEnforced(l.object("all")), "it was reported long enough ago")
	})
}

// tallyOf is a replica's report of one policy.
func tallyOf(uid string, n int64, last time.Time) string {
	return fmt.Sprintf(`{%q:{"n":%d,"t":%d}}`, uid, n, last.Unix())
}

func TestFittedPodsOfAllReplicasAreAddedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody, inCourse)
		hash, start := l.hash(t), time.Now()
		l.report(t, "one", hash)
		l.report(t, "two", hash)
		l.start(t)
		fitted := func() v1alpha1.FittedPods { return *l.statusOf(t, "all").Fitted }
		assert.Equal(t, v1alpha1.FittedPods{Window: metav1.Duration{Duration: time.Hour}}, fitted(), "0 is said, not left out")
		pass(enforcedAfter)

		l.report(t, "one", hash, tallyOf("uid-0", 3, start))
		assert.Equal(t, int64(3), fitted().Count, "the first is said at once")
		pass(time.Second)
		l.report(t, "two", hash, tallyOf("uid-0", 4, start.Add(time.Second)))
		pass(minorEvery - time.Second - time.Millisecond)
		l.report(t, "one", hash, tallyOf("uid-0", 3, start))
		l.report(t, "two", hash, tallyOf("uid-0", 5, start.Add(2*time.Second)))
		assert.Equal(t, int64(3), fitted().Count, "the others once a minute")
		pass(time.Millisecond)
		assert.Equal(t, int64(8), fitted().Count)
		assert.Equal(t, start.Add(2*time.Second).Unix(), fitted().LastTime.Unix())
		assert.Zero(t, l.statusOf(t, "course").Fitted.Count)

		pass(minorEvery)
		l.report(t, "one", hash) // it is out of the window
		assert.Equal(t, int64(0), fitted().Count, "and the other's Lease has expired")
		assert.Equal(t, start.Add(2*time.Second).Unix(), fitted().LastTime.Unix(), "that stays known")

		for range minorEvery/reportEvery + 1 {
			l.report(t, "one", hash, `{"uid-0":`)
			l.report(t, "two", hash, tallyOf("uid-0", 2, start.Add(time.Minute)))
			pass(reportEvery)
		}
		assert.Equal(t, int64(2), fitted().Count, "one replica's gibberish hides nobody else's")
	})
}

func TestFittedPodsGoAlongWithWhatIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		hash := l.hash(t)
		l.report(t, "one", hash, tallyOf("uid-0", 1, time.Now()))
		l.start(t)
		pass(enforcedAfter)
		l.report(t, "one", hash, tallyOf("uid-0", 2, time.Now()))
		pass(time.Second)
		l.report(t, "one", hash, tallyOf("uid-0", 3, time.Now()))
		require.Equal(t, int64(2), l.statusOf(t, "all").Fitted.Count)
		l.edit(t, "all")
		synctest.Wait()
		assert.Equal(t, int64(3), l.statusOf(t, "all").Fitted.Count)
	})
}

func TestFittedPodsOfABusyPolicyAreWrittenOnceAMinuteAndThoseOfAnIdleOneNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody, inCourse)
		hash := l.hash(t)
		l.report(t, "one", hash)
		l.start(t)
		pass(enforcedAfter)
		before := l.writes()
		const minutes = 10
		for i := range int64(minutes * time.Minute / reportEvery) {
			l.report(t, "one", hash, tallyOf("uid-0", i, time.Now()))
			pass(reportEvery)
		}
		assert.InDelta(t, minutes, l.writes()-before, 1)
	})
}

func TestStatusThatSomebodyElseWroteIsPutRightButNotWithoutEnd(t *testing.T) {
	forge := func(o *unstructured.Unstructured) {
		o.Object["status"] = map[string]any{
			"observedGeneration": o.GetGeneration(), "profiles": int64(99),
			"fitted": map[string]any{"count": int64(99), "window": "a while", "lastTime": "2999-01-01T00:00:00Z"},
			"conditions": []any{
				map[string]any{"type": "Ready", "status": "True", "reason": "Forged", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": o.GetGeneration()},
				map[string]any{"type": "Enforced", "status": "True", "reason": "Forged", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": o.GetGeneration()},
			},
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, "kind: SpawnPolicy\nmetadata: {name: all, namespace: a}\nspec: {defaults: {workingDir: '{usernam}'}}")
		l.start(t)
		right := l.statusOf(t, "all")
		l.change("all", forge)
		synctest.Wait()
		got := l.statusOf(t, "all")
		assert.Equal(t, right.Fitted, got.Fitted)
		assert.Equal(t, right.Profiles, got.Profiles)
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionEnforced} {
			assert.Equal(t, metav1.ConditionFalse, conditionOf(l.object("all"), kind).Status, kind)
			assert.NotEqual(t, "Forged", conditionOf(l.object("all"), kind).Reason, kind)
		}

		before := l.writes()
		for range 10 * time.Minute / time.Second {
			l.change("all", forge)
			pass(time.Second)
		}
		assert.InDelta(t, 10, l.writes()-before, 1, "somebody may write it again and again")
		pass(minorEvery)
		assert.Equal(t, right.Profiles, l.statusOf(t, "all").Profiles)
	})
}

func TestANewLeaderBelievesTheLastOnesWordOnWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := lead(t, everybody)
		hash := first.hash(t)
		first.report(t, "one", hash)
		first.start(t)
		last := time.Now()
		first.report(t, "one", hash, tallyOf("uid-0", 1, last))
		pass(enforcedAfter)
		require.True(t, isEnforced(first.object("all")))

		next := lead(t, everybody)
		next.cache.objects = []unstructured.Unstructured{*first.object("all").DeepCopy()}
		next.report(t, "another", "older")
		next.start(t)
		assert.Equal(t, 1, next.writes(), "of the fitted pods alone: the replica that counted is gone")
		assert.True(t, isEnforced(next.object("all")))
		assert.Zero(t, next.statusOf(t, "all").Fitted.Count)
		assert.Equal(t, last.Unix(), next.statusOf(t, "all").Fitted.LastTime.Unix())

		third := lead(t, everybody)
		third.cache.objects = []unstructured.Unstructured{*next.object("all").DeepCopy()}
		third.start(t)
		pass(time.Hour)
		assert.Zero(t, third.writes(), "there is nothing new")
	})
}

func TestANewLeaderDoesNotBelieveInATimeToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.cache.objects[0].Object["status"] = map[string]any{"fitted": map[string]any{"count": int64(0), "window": "1h0m0s", "lastTime": "2999-01-01T00:00:00Z"}}
		l.start(t)
		assert.Nil(t, l.statusOf(t, "all").Fitted.LastTime)
	})
}

func TestALeaderBelievesNobodyElseInItsOwnTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, everybody)
		l.start(t)
		forged := map[string]any{
			"fitted": map[string]any{"count": int64(0), "window": "1h0m0s", "lastTime": "1999-01-01T00:00:00Z"},
			"conditions": []any{map[string]any{
				"type": "Enforced", "status": "True", "reason": "AllReplicas", "message": "", "lastTransitionTime": "1999-01-01T00:00:00Z", "observedGeneration": int64(2),
			}},
		}
		l.change("all", func(o *unstructured.Unstructured) { // as fast as the edit itself
			o.SetGeneration(2)
			o.Object["status"] = forged
		})
		require.NoError(t, l.own.refresh(t.Context()))
		synctest.Wait()
		assert.False(t, isEnforced(l.object("all")), "no replica has said so")
		assert.Nil(t, l.statusOf(t, "all").Fitted.LastTime)
	})
}
