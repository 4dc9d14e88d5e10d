package webhook

import (
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// minorEvery is how often a policy's status is written where the conditions have nothing new to say: for the number of
// fitted pods, or over what somebody else wrote there, who may do so again and again. Each time a whole policy goes into
// etcd, and to everybody who watches them.
const minorEvery = time.Minute

// followed is a policy, and what its status should be.
type followed struct {
	object *unstructured.Unstructured
	// stored is the object's status; empty if it can't be read.
	stored v1alpha1.SpawnPolicyStatus
	propagation
	// lastFitted is when the policy had a part in fitting a pod, as far as is known.
	lastFitted *metav1.Time
	// said are the conditions as they were written last, or found to be.
	said conditions
	// minor is when something minor was written.
	minor time.Time
	// written is the resourceVersion that the last status was written over: an object of that version is outdated.
	written string
}

// conditions, without the time of their transitions, are what must be said at once.
type conditions struct{ ready, enforced metav1.Condition }

// statement is a status to be written.
type statement struct {
	status *v1alpha1.SpawnPolicyStatus
	says   conditions
}

// take takes a policy as it is stored. At the start of a term its status is the last leader's word, and believed; after
// that, the leader itself knows better.
func (f *followed) take(object *unstructured.Unstructured, believe bool) error {
	var err error
	if f.object == nil || f.object.GetResourceVersion() != object.GetResourceVersion() {
		f.stored, err = statusOfPolicy(object)
	}
	f.object = object
	var believed v1alpha1.SpawnPolicyStatus
	if believe {
		believed = f.stored
	}
	if b := believed.Fitted; b != nil && b.LastTime != nil && !b.LastTime.After(time.Now()) {
		f.lastFitted = b.LastTime.DeepCopy()
	}
	if generation := object.GetGeneration(); f.generation != generation {
		f.propagation = newPropagation(generation, believed.Conditions)
	}
	return err
}

// next is the status that a policy should have and hasn't, nil for none, and until when that holds if nothing happens;
// zero: for ever.
func (f *followed) next(v *verdict, replicas map[string]*reported, fitted tally, now time.Time) (next *statement, until time.Time) {
	enforced, until := f.condition(replicas, now)
	status := f.stored.DeepCopy()
	meta.SetStatusCondition(&status.Conditions, v.ready)
	meta.SetStatusCondition(&status.Conditions, enforced)
	status.ObservedGeneration, status.Profiles, status.Fitted = f.generation, v.profiles, f.fittedPods(fitted)

	says := conditions{v.ready, enforced}
	switch due := f.minor.Add(minorEvery); {
	case f.written == f.object.GetResourceVersion(): // the cache doesn't have our last word yet
		return nil, until
	case apiequality.Semantic.DeepEqual(status, &f.stored):
		f.said = says
		return nil, until
	case says == f.said && now.Before(due):
		return nil, earlier(until, due)
	}
	return &statement{status, says}, until
}

// fittedPods is what all replicas counted, as a status has it.
func (f *followed) fittedPods(t tally) *v1alpha1.FittedPods {
	if last := metav1.Unix(t.Last, 0); t.Count > 0 && (f.lastFitted == nil || f.lastFitted.Before(&last)) {
		f.lastFitted = &last
	}
	return &v1alpha1.FittedPods{Count: t.Count, Window: metav1.Duration{Duration: fittedWindow}, LastTime: f.lastFitted.DeepCopy()}
}

// wrote notes that a status was written. That none was fitted yet is no number to wait after.
func (f *followed) wrote(s *statement, now time.Time) {
	counted := f.stored.Fitted != nil && !apiequality.Semantic.DeepEqual(f.stored.Fitted, s.status.Fitted)
	if counted || s.says == f.said {
		f.minor = now
	}
	f.said = s.says
	f.written = f.object.GetResourceVersion()
}

// statusOfPolicy reads a policy's status.
func statusOfPolicy(object *unstructured.Unstructured) (v1alpha1.SpawnPolicyStatus, error) {
	policy := struct {
		Status v1alpha1.SpawnPolicyStatus `json:"status"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"status": object.Object["status"]}, &policy); err != nil {
		return v1alpha1.SpawnPolicyStatus{}, fmt.Errorf("read the status: %w", err)
	}
	return policy.Status, nil
}
