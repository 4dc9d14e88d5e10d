package launcher

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// store has the records of the pods that are there, by server.
type store struct {
	mu      sync.RWMutex
	servers map[Key][]*record
	// watchers are told of the changes of all servers, ofServer of those of one: there may be thousands that look at one each.
	watchers map[*watcher]struct{}
	ofServer map[Key]map[*watcher]struct{}
}

func newStore() *store {
	return &store{servers: map[Key][]*record{}, watchers: map[*watcher]struct{}{}, ofServer: map[Key]map[*watcher]struct{}{}}
}

// handler keeps the store as the cache of pods is.
func (s *store) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { s.put(object) },
		UpdateFunc: func(before, object any) {
			if old, ok := before.(*record); ok && isOfAnother(old, object) {
				s.drop(old) // a name may be another server's between two looks, and annotations may be changed by hand
			}
			s.put(object)
		},
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			s.drop(object)
		},
	}
}

func isOfAnother(old *record, object any) bool {
	r, ok := object.(*record)
	return ok && (r.server.Key != old.server.Key || r.UID != old.UID)
}

func (s *store) put(object any) {
	if r, ok := object.(*record); ok {
		s.change(r, false)
	}
}

func (s *store) drop(object any) {
	if r, ok := object.(*record); ok {
		s.change(r, true)
	}
}

func (s *store) change(r *record, deleted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.server.Key
	others := slices.DeleteFunc(s.servers[key], func(o *record) bool { return o.Namespace == r.Namespace && o.Name == r.Name })
	if !deleted {
		others = append(others, r)
	}
	if s.servers[key] = others; len(others) == 0 {
		delete(s.servers, key)
	}
	for w := range s.watchers {
		w.note(r, deleted)
	}
	for w := range s.ofServer[key] {
		w.note(r, deleted)
	}
}

// all gives the records of a server: one, but for the moment in which another takes its place.
func (s *store) all(key Key) []*record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.servers[key])
}

// get gives a server's record; nil where there is none. Were there several pods, the one that isn't going counts, then the youngest.
func (s *store) get(key Key) *record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return foremost(s.servers[key])
}

func foremost(records []*record) *record {
	if len(records) == 0 {
		return nil
	}
	return slices.MaxFunc(records, func(a, b *record) int {
		stays := func(r *record) int {
			if r.server.State == Stopping {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(stays(a), stays(b)), a.server.Created.Compare(b.server.Created), cmp.Compare(a.UID, b.UID))
	})
}

// list gives the servers of a hub, by user and name.
func (s *store) list(hub string) []*Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Server
	for key, records := range s.servers {
		if key.Hub == hub {
			all = append(all, foremost(records).copyOfServer())
		}
	}
	slices.SortFunc(all, func(a, b *Server) int { return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Name, b.Name)) })
	return all
}

func (r *record) copyOfServer() *Server {
	s := r.server
	return &s
}

// watch tells of the changes of a hub's servers, first of all of those that are there, until ctx ends.
func (s *store) watch(ctx context.Context, hub string) *watcher {
	w := newWatcher(hub)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[w] = struct{}{}
	for _, records := range s.servers {
		w.noteAll(records)
	}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	})
	return w
}

// watchServer does so for one server.
func (s *store) watchServer(ctx context.Context, key Key) *watcher {
	w := newWatcher(key.Hub)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ofServer[key] == nil {
		s.ofServer[key] = map[*watcher]struct{}{}
	}
	s.ofServer[key][w] = struct{}{}
	w.noteAll(s.servers[key])
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.ofServer[key], w); len(s.ofServer[key]) == 0 {
			delete(s.ofServer, key)
		}
	})
	return w
}

// watcher keeps the last change of each pod until it is taken, so one who reads slowly costs little and hears the truth.
type watcher struct {
	hub    string
	raised chan struct{}

	mu      sync.Mutex
	pending map[types.UID]noted
	order   []types.UID
}

type noted struct {
	record  *record
	deleted bool
}

func newWatcher(hub string) *watcher {
	return &watcher{hub: hub, pending: map[types.UID]noted{}, raised: make(chan struct{}, 1)}
}

func (w *watcher) noteAll(records []*record) {
	for _, r := range records {
		w.note(r, false)
	}
}

func (w *watcher) note(r *record, deleted bool) {
	if r.server.Hub != w.hub {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.pending[r.UID]; !waits {
		w.order = append(w.order, r.UID)
	}
	w.pending[r.UID] = noted{r, deleted}
	select {
	case w.raised <- struct{}{}:
	default:
	}
}

// take gives the oldest change that wasn't taken yet; false where there is none.
func (w *watcher) take() (noted, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return noted{}, false
	}
	uid := w.order[0]
	w.order = w.order[1:]
	n := w.pending[uid]
	delete(w.pending, uid)
	return n, true
}

// next waits for a change; its error is that of ctx.
func (w *watcher) next(ctx context.Context) (noted, error) {
	for {
		if n, ok := w.take(); ok {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return noted{}, context.Cause(ctx)
		case <-w.raised:
		}
	}
}

// awaitGone waits until a pod isn't there; its error is that of ctx.
func (s *store) awaitGone(ctx context.Context, of *record) error {
	key := of.server.Key
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := s.watchServer(ctx, key)
	for {
		s.mu.RLock()
		there := slices.ContainsFunc(s.servers[key], func(r *record) bool { return r.UID == of.UID })
		s.mu.RUnlock()
		if !there {
			return nil
		}
		if _, err := w.next(ctx); err != nil {
			return err
		}
	}
}
