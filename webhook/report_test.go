package webhook

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationapply "k8s.io/client-go/applyconfigurations/coordination/v1"
)

// keptLeases notes what a replica does with its Lease.
type keptLeases struct {
	mu      sync.Mutex
	applied []*coordinationapply.LeaseApplyConfiguration
	deleted []string
	fails   error
}

func (k *keptLeases) Apply(_ context.Context, lease *coordinationapply.LeaseApplyConfiguration, _ metav1.ApplyOptions) (*coordinationv1.Lease, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.applied = append(k.applied, lease)
	return nil, k.fails
}

func (k *keptLeases) Delete(_ context.Context, name string, _ metav1.DeleteOptions) error {
	k.deleted = append(k.deleted, name)
	return k.fails
}

func (k *keptLeases) hashes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, l := range k.applied {
		all = append(all, l.Annotations[annotationPolicies])
	}
	return all
}

func (k *keptLeases) first() *coordinationapply.LeaseApplyConfiguration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applied[0]
}

func (k *keptLeases) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err
}

func TestReplicaReportsAtOnceWhenItsPoliciesAreSwappedAndEveryFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &keptLeases{}
		var hash atomic.Value
		hash.Store("")
		r := &reports{
			leases: kept, namespace: "slipway-system", identity: "one", swapped: newSignal(), log: logr.Discard(),
			hash: func() string { return hash.Load().(string) }, fitted: func() string { return "" }, authorities: func() string { return "" },
		}
		go func() { _ = r.Start(t.Context()) }()
		pass(time.Hour)
		assert.Empty(t, kept.hashes(), "it doesn't answer yet")

		hash.Store("first")
		r.swapped.raise()
		synctest.Wait()
		assert.Equal(t, []string{"first"}, kept.hashes())
		lease := kept.first()
		assert.Equal(t, "slipway-webhook-one", *lease.Name)
		assert.Equal(t, "slipway-system", *lease.Namespace)
		assert.Equal(t, map[string]string{"app.kubernetes.io/component": "webhook-replica"}, lease.Labels)
		assert.Equal(t, int32(15), *lease.Spec.LeaseDurationSeconds)
		assert.WithinDuration(t, time.Now(), lease.Spec.RenewTime.Time, time.Millisecond)

		pass(2 * reportEvery)
		assert.Equal(t, []string{"first", "first", "first"}, kept.hashes())

		kept.fail(errors.New("the API server is down"))
		hash.Store("second")
		r.swapped.raise()
		pass(reportEvery)
		assert.Equal(t, []string{"second", "second"}, kept.hashes()[3:], "it tries again")
	})
}

func TestReplicaReportsWhatItFittedWithItsPolicies(t *testing.T) {
	kept := &keptLeases{}
	fitted := ""
	r := &reports{
		leases: kept, identity: "one", log: logr.Discard(), fitted: func() string { return fitted }, authorities: func() string { return "" },
	}
	assert.NoError(t, r.report(t.Context(), "first"))
	assert.NotContains(t, kept.applied[0].Annotations, annotationFitted, "it takes an older one away")
	fitted = `{"uid-0":{"n":1,"t":2}}`
	assert.NoError(t, r.report(t.Context(), "first"))
	assert.Equal(t, map[string]string{annotationPolicies: "first", annotationFitted: fitted}, kept.applied[1].Annotations)
}

func TestReplicaReportsAtOnceWhoMustBeTrustedForItsSake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &keptLeases{}
		authorities, changed := "old", make(chan struct{}, 1)
		r := &reports{
			leases: kept, identity: "one", log: logr.Discard(), hash: func() string { return "first" }, fitted: func() string { return "" },
			authorities: func() string { return authorities }, authoritiesChanged: changed,
		}
		go func() { _ = r.Start(t.Context()) }()
		synctest.Wait()
		assert.Equal(t, "old", kept.first().Annotations["slipway.dev/authorities"])

		authorities = "old,new"
		changed <- struct{}{}
		synctest.Wait()
		assert.Len(t, kept.hashes(), 2, "it doesn't wait for its turn")
		assert.Equal(t, "old,new", kept.applied[1].Annotations["slipway.dev/authorities"])
	})
}

func TestReplicaWithdrawsWithItsLease(t *testing.T) {
	kept := &keptLeases{}
	r := &reports{leases: kept, identity: "one", log: logr.Discard()}
	r.withdraw(t.Context())
	assert.Equal(t, []string{"slipway-webhook-one"}, kept.deleted)
}

func TestReplicaHasANameThatALeaseCanHave(t *testing.T) {
	first, err := identityOf(&Options{})
	assert.NoError(t, err)
	second, err := identityOf(&Options{})
	assert.NoError(t, err)
	assert.NotEqual(t, first, second, "two replicas on one host")
	given, err := identityOf(&Options{Identity: "slipway-webhook-0"})
	assert.NoError(t, err)
	assert.Equal(t, "slipway-webhook-0", given)
	_, err = identityOf(&Options{Identity: "My_Replica"})
	assert.ErrorContains(t, err, `"My_Replica" can't be part of a Lease's name`)
}
