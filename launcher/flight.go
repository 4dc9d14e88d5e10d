package launcher

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// flights are the starts that this replica is at.
type flights struct {
	mu  sync.Mutex
	all map[Key]map[*flight]struct{}
	// begun is closed and made anew whenever one begins.
	begun chan struct{}
}

// flight is a start on its way.
type flight struct {
	key Key
	// id8 is what is left of its start id.
	id8    string
	cancel context.CancelCauseFunc
	// done is closed when it has ended.
	done chan struct{}

	mu   sync.Mutex
	said string
	// changed is closed and made anew whenever there is something to tell.
	changed chan struct{}
	ended   bool
	// revoked is why it may not come up; nil while it may. Its context can't tell: it may have ended before, by its caller.
	revoked *Failure
}

var (
	errStopped    = &Failure{Message: "the server was stopped while it started", Hopeless: true}
	errSuperseded = &Failure{Message: "the server was started anew while it started, and that start goes on", Hopeless: true}
)

// begin notes a start. Starts of the server by another id end: who asked for it last gets it.
func (f *flights) begin(ctx context.Context, key Key, id8 string) (context.Context, *flight) {
	ctx, cancel := context.WithCancelCause(ctx)
	one := &flight{key: key, id8: id8, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	for other := range f.all[key] {
		if other.id8 != id8 {
			other.revoke(errSuperseded)
		}
	}
	if f.all == nil {
		f.all = map[Key]map[*flight]struct{}{}
	}
	if f.all[key] == nil {
		f.all[key] = map[*flight]struct{}{}
	}
	f.all[key][one] = struct{}{}
	if f.begun != nil {
		close(f.begun)
		f.begun = nil
	}
	return ctx, one
}

func (f *flights) end(one *flight) {
	f.mu.Lock()
	if delete(f.all[one.key], one); len(f.all[one.key]) == 0 {
		delete(f.all, one.key)
	}
	f.mu.Unlock()
	one.cancel(nil)
	one.mu.Lock()
	defer one.mu.Unlock()
	one.ended = true
	close(one.changed)
	close(one.done)
}

// stop ends the starts of a server, so that none comes up after it was stopped, and waits until they have ended; its error is that of ctx.
func (f *flights) stop(ctx context.Context, key Key) error {
	f.mu.Lock()
	ending := slices.Collect(maps.Keys(f.all[key]))
	f.mu.Unlock()
	for _, one := range ending {
		one.revoke(errStopped)
	}
	for _, one := range ending {
		select {
		case <-one.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// of gives a start of a server; nil where there is none, and then a channel that is closed when any begins.
func (f *flights) of(key Key) (*flight, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.all[key] {
		return one, nil
	}
	if f.begun == nil {
		f.begun = make(chan struct{})
	}
	return nil, f.begun
}

// has says whether a server is being started here.
func (f *flights) has(key Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all[key]) > 0
}

// revoke ends a start; for the first reason, if there are several.
func (f *flight) revoke(why *Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revoked == nil {
		f.revoked = why
	}
	f.cancel(why)
}

// whyRevoked is nil where the start may come up.
func (f *flight) whyRevoked() *Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revoked
}

// say tells whoever looks on what the start is at.
func (f *flight) say(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if what == f.said || f.ended {
		return
	}
	f.said = what
	close(f.changed)
	f.changed = make(chan struct{})
}

// heard is what was said last, and a channel that is closed when there is more, or the start has ended.
func (f *flight) heard() (said string, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said, f.changed
}
