package webhook

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

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
		c := conditionOf(got, v1alpha1.ConditionEnforced)
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
		l.edit(t, "all")
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

		l.edit(t, "course")
		synctest.Wait()
		assert.Equal(t, "course False 0 of 0 replicas of the webhook answer by generation 2.", l.last())
		assert.Equal(t, int64(2), conditionOf(l.object("course"), v1alpha1.ConditionEnforced).ObservedGeneration)
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
			l.edit(t, "course")
			l.report(t, "one", "a set in between")
			l.report(t, "one", l.hash(t))
		}
		assert.True(t, isEnforced(l.object("all")))
		assert.False(t, isEnforced(l.object("course")))
	})
}
