package webhook

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// policyObjects are n policies of the namespace a, called p0 and so on, with uids of full length.
func policyObjects(n int) []unstructured.Unstructured {
	objects := make([]unstructured.Unstructured, n)
	for i := range objects {
		objects[i].Object = map[string]any{}
		objects[i].SetNamespace("a")
		objects[i].SetName(fmt.Sprint("p", i))
		objects[i].SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", i)))
	}
	return objects
}

// tallied is what is reported at this moment.
func tallied(t *testing.T, f *fittings) map[types.UID]tally {
	t.Helper()
	tallies, err := readTallies(f.report())
	require.NoError(t, err)
	return tallies
}

func TestFittedPodsAreCountedByPolicyAndLeaveTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fittings{}
		assert.Empty(t, f.report())
		f.count([]policy.PolicyRef{{Name: "early"}})
		objects := policyObjects(3)
		f.follow(objects)
		first, second := objects[0].GetUID(), objects[1].GetUID()
		assert.Empty(t, f.report(), "that nothing was fitted needs no word")

		f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0", Generation: 1}, {Namespace: "a", Name: "p1"}, {Name: "p0"}, {Namespace: "b", Name: "p0"}})
		f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0", Generation: 2}})
		start := time.Now().Unix()
		want := map[types.UID]tally{first: {2, start}, second: {1, start}}
		assert.Equal(t, want, tallied(t, f))
		assert.Equal(t, want, tallied(t, f), "asking counts nothing")

		pass(30 * time.Minute)
		f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0"}})
		assert.Equal(t, tally{3, start + 1800}, tallied(t, f)[first])
		pass(30*time.Minute - time.Second)
		assert.Equal(t, int64(3), tallied(t, f)[first].Count, "not an hour ago")
		pass(fittedStep + time.Second)
		assert.Equal(t, map[types.UID]tally{first: {1, start + 1800}}, tallied(t, f), "more than an hour ago")
		pass(24 * time.Hour)
		assert.Empty(t, f.report())
		f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0"}})
		assert.Equal(t, int64(1), tallied(t, f)[first].Count)
	})
}

func TestFittedPodsOutliveChangesOfPoliciesAndNotTheirDeletion(t *testing.T) {
	f, objects := &fittings{}, policyObjects(2)
	f.follow(objects)
	f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0"}, {Namespace: "a", Name: "p1"}})
	f.follow(objects)
	assert.Len(t, tallied(t, f), 2, "one more generation")
	objects[1].SetUID("anew")
	f.follow(objects)
	assert.Len(t, tallied(t, f), 1, "deleted and made anew")
	f.follow(nil)
	assert.Empty(t, f.report())
}

func TestFittedPodsAreCountedByManyAtOnce(t *testing.T) {
	f, objects := &fittings{}, policyObjects(2)
	f.follow(objects)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50000 {
				f.count([]policy.PolicyRef{{Namespace: "a", Name: "p0"}})
			}
		})
	}
	group.Go(func() {
		for range 100 {
			f.follow(objects)
		}
	})
	for range 100 {
		f.report()
	}
	group.Wait()
	assert.Equal(t, int64(8*50000), tallied(t, f)[objects[0].GetUID()].Count)
}

// An object's annotations may have 256 KiB, and this one is written every few seconds.
func TestFittedPodsAreReportedOfABoundedNumberOfPolicies(t *testing.T) {
	const n = 3000
	f, objects := &fittings{}, policyObjects(n)
	f.follow(objects)
	for i := range n {
		refs := []policy.PolicyRef{{Namespace: "a", Name: fmt.Sprint("p", i)}}
		f.count(refs)
		if i >= n-100 {
			f.count(refs)
		}
	}
	text := f.report()
	assert.Less(t, len(text), 64<<10)
	tallies, err := readTallies(text)
	require.NoError(t, err)
	assert.Len(t, tallies, maxTallies)
	for _, o := range objects[n-100:] {
		assert.Contains(t, tallies, o.GetUID(), "those with the most")
	}
	assert.Equal(t, text, f.report(), "others don't come and go")
}

func TestPodsAreCountedOnceTheyAreVerifiedAndNotForADryRun(t *testing.T) {
	objects := policyObjects(2)
	objects[0].SetName("baseline")
	objects[0].SetNamespace("")
	objects[1].SetName("course")
	objects[1].SetNamespace("research")
	for name, c := range map[string]struct {
		change func(*admission.Request, *corev1.Pod)
		counts int64
	}{
		"as it was fitted": {func(*admission.Request, *corev1.Pod) {}, 1},
		"no dry run":       {func(r *admission.Request, _ *corev1.Pod) { r.DryRun = new(false) }, 1},
		"a dry run":        {func(r *admission.Request, _ *corev1.Pod) { r.DryRun = new(true) }, 0},
		"denied":           {func(_ *admission.Request, p *corev1.Pod) { p.Spec.Containers[0].Image = "evil" }, 0},
		"an update": {func(r *admission.Request, _ *corev1.Pod) {
			r.Operation, r.OldObject.Raw = admissionv1.Update, r.Object.Raw
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := &verifier{testDecider(t)}
			v.fitted = &fittings{}
			v.fitted.follow(objects)
			pod := &corev1.Pod{}
			final(t)(pod)
			req := request(t, final(t))
			c.change(&req, pod)
			var err error
			req.Object.Raw, err = json.Marshal(pod)
			require.NoError(t, err)
			response := v.Handle(t.Context(), req)
			assert.Equal(t, name != "denied", response.Allowed, "%+v", response.Result)
			tallies := tallied(t, v.fitted)
			for _, o := range objects {
				assert.Equal(t, c.counts, tallies[o.GetUID()].Count, o.GetName())
			}
		})
	}
}
