package webhook

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is a Lease for which nobody else competes; renewing fails while it is out of reach.
type lock struct {
	resourcelock.Interface
	record      resourcelock.LeaderElectionRecord
	unreachable atomic.Bool
}

func (l *lock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record := l.record
	return &record, []byte(record.HolderIdentity + record.RenewTime.String()), nil
}

func (l *lock) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	if l.unreachable.Load() {
		return errors.New("out of reach")
	}
	l.record = r
	return nil
}

func (l *lock) RecordEvent(string) {}
func (l *lock) Identity() string   { return "one" }
func (l *lock) Describe() string   { return "test" }

func TestALeaderThatLostStandsAgainAndLeadsOneTermAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := &lock{}
		var terms, leading atomic.Int32
		l := &leader{name: leaderLease, lock: lease, log: logr.Discard(), lead: func(ctx context.Context) {
			terms.Add(1)
			assert.Equal(t, int32(1), leading.Add(1))
			<-ctx.Done()
			<-time.After(time.Minute) // a slow end
			leading.Add(-1)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		pass(time.Second)
		assert.Equal(t, int32(1), terms.Load())

		lease.unreachable.Store(true)
		pass(renewDeadline + retryPeriod)
		lease.unreachable.Store(false)
		pass(30 * time.Second)
		assert.Equal(t, int32(1), terms.Load(), "the first term isn't over")
		pass(time.Minute)
		assert.Equal(t, int32(2), terms.Load())

		cancel()
		synctest.Wait()
		require.NoError(t, <-ended, "losing an election is no error")
		assert.Empty(t, lease.record.HolderIdentity, "it is given up at once")
		pass(2 * time.Minute)
	})
}
