package webhook

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// enforcedAfter is the time from the last replica's report to the condition Enforced: then no replica accepts what was
// fitted by an older generation, and no such answer is on its way.
const enforcedAfter = supersededFor + time.Second

// propagation is how far one generation of a policy has got: whether every replica answers by it. Once it is done it stays
// so: a replica that joins later reads the policies before it answers.
type propagation struct {
	generation int64
	// holds says when a replica was first seen to answer by this generation. Later reports, of policies that others
	// have changed meanwhile, take nothing back.
	holds map[string]time.Time
	// done is the condition in its last form; nil before.
	done *metav1.Condition
}

// newPropagation starts at nothing; or at the end, if a condition that is believed says so.
func newPropagation(generation int64, believed []metav1.Condition) propagation {
	p := propagation{generation: generation, holds: map[string]time.Time{}}
	c := meta.FindStatusCondition(believed, v1alpha1.ConditionEnforced)
	if c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation {
		p.done = c.DeepCopy()
	}
	return p
}

// arrived notes that a replica answers by this generation.
func (p *propagation) arrived(replica string, now time.Time) {
	if _, known := p.holds[replica]; !known {
		p.holds[replica] = now
	}
}

// condition is what holds now, and until when if nothing happens; zero: for ever.
func (p *propagation) condition(replicas map[string]*reported, now time.Time) (c metav1.Condition, until time.Time) {
	if p.done != nil {
		return *p.done, time.Time{}
	}
	var last time.Time
	living, holding := 0, 0
	for name, r := range replicas {
		if !now.Before(r.expires) {
			continue
		}
		living++
		since, holds := p.holds[name]
		if !holds {
			until = earlier(until, r.expires)
			continue
		}
		holding++
		if since.After(last) {
			last = since
		}
	}
	c = metav1.Condition{
		Type: v1alpha1.ConditionEnforced, Status: metav1.ConditionFalse, ObservedGeneration: p.generation, Reason: v1alpha1.ReasonPropagating,
		Message: fmt.Sprintf("%d of %d replicas of the webhook answer by generation %d.", holding, living, p.generation),
	}
	switch done := last.Add(enforcedAfter); {
	case holding < living || living == 0:
		return c, until
	case now.Before(done):
		c.Message = fmt.Sprintf("All replicas of the webhook (%d) answer by generation %d; what they answered before may still be on its way.", living, p.generation)
		return c, done
	}
	c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonAllReplicas
	c.Message = fmt.Sprintf("All replicas of the webhook (%d) answer by generation %d.", living, p.generation)
	p.done = c.DeepCopy()
	return c, time.Time{}
}

// earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
