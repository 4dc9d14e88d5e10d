package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// fittedWindow is the time over which fitted pods are counted. They leave it in steps, so that a policy that isn't used
	// any more has its status written a dozen times at most, and are counted a part of a step longer.
	fittedWindow = time.Hour
	fittedStep   = 5 * time.Minute
	fittedSteps  = int64(fittedWindow/fittedStep) + 1
	// maxTallies is how many policies a replica reports of: those with the most pods. Every renewal of its Lease has all of
	// them, some 60 bytes each.
	maxTallies = 512
)

// tally is how many pods a policy had a part in fitting, in the window.
type tally struct {
	Count int64 `json:"n"`
	// Last is when it was last, in seconds since 1970.
	Last int64 `json:"t"`
}

// fittings counts in this replica, for each policy, the pods that it had a part in fitting. nil counts nothing.
type fittings struct {
	// counters is replaced when there are other policies, and read without a lock.
	counters atomic.Pointer[map[types.NamespacedName]*counter]
}

// counter is one policy's. What is counted while a request is answered are the first two; the rest is the reports'.
type counter struct {
	total, last atomic.Int64

	uid types.UID
	// reported is how far total has gone into steps: how many there were in each step of the window, by number of step.
	reported int64
	steps    [fittedSteps]struct{ number, count int64 }
}

// follow counts for these policies from now on; a policy that was deleted and made anew starts anew.
func (f *fittings) follow(objects []unstructured.Unstructured) {
	if f == nil {
		return
	}
	var before map[types.NamespacedName]*counter
	if p := f.counters.Load(); p != nil {
		before = *p
	}
	counters := make(map[types.NamespacedName]*counter, len(objects))
	for i := range objects {
		object := &objects[i]
		name := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
		c := before[name]
		if c == nil || c.uid != object.GetUID() {
			c = &counter{uid: object.GetUID()}
		}
		counters[name] = c
	}
	f.counters.Store(&counters)
}

// count notes that a pod was fitted by these policies.
func (f *fittings) count(by []policy.PolicyRef) {
	if f == nil {
		return
	}
	counters := f.counters.Load()
	if counters == nil {
		return
	}
	now := time.Now().Unix()
	for _, r := range by {
		if c := (*counters)[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]; c != nil {
			c.total.Add(1)
			c.last.Store(now)
		}
	}
}

// report is what was counted in the window, of the policies for which there is anything; "" for none. One goroutine calls it.
func (f *fittings) report() string {
	counters := f.counters.Load()
	if counters == nil {
		return ""
	}
	now := time.Now()
	type entry struct {
		uid types.UID
		tally
	}
	var entries []entry
	for _, c := range *counters {
		if n := c.inWindow(now); n > 0 {
			entries = append(entries, entry{c.uid, tally{Count: n, Last: c.last.Load()}})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.uid, b.uid)) })
	tallies := make(map[types.UID]tally, len(entries))
	for _, e := range entries[:min(len(entries), maxTallies)] {
		tallies[e.uid] = e.tally
	}
	if len(tallies) == 0 {
		return ""
	}
	data, err := json.Marshal(tallies)
	if err != nil { // of numbers
		return ""
	}
	return string(data)
}

// inWindow takes in what was counted since it was last asked.
func (c *counter) inWindow(now time.Time) int64 {
	number := now.Unix() / int64(fittedStep/time.Second)
	at := &c.steps[number%fittedSteps]
	if at.number != number {
		at.number, at.count = number, 0
	}
	total := c.total.Load()
	at.count += total - c.reported
	c.reported = total
	var sum int64
	for _, s := range c.steps {
		if number-s.number < fittedSteps {
			sum += s.count
		}
	}
	return sum
}

// readTallies reads a replica's report.
func readTallies(text string) (map[types.UID]tally, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing was fitted
	}
	var tallies map[types.UID]tally
	if err := json.Unmarshal([]byte(text), &tallies); err != nil {
		return nil, fmt.Errorf("read how many pods a replica fitted: %w", err)
	}
	return tallies, nil
}

// plus adds what another replica counted.
func (t tally) plus(other tally) tally {
	return tally{Count: t.Count + other.Count, Last: max(t.Last, other.Last)}
}
