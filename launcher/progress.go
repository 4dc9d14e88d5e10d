package launcher

import (
	"context"
	"fmt"
	"iter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Progress tells how a server comes up, until it is ready, has failed, or is gone: then comes the step that is Done. It ends sooner only with
// ctx, or when its reader stops. A start that is under way is waited for. With the StartID of a request, pods of other starts are passed
// over, such as the one that is to make way; "" stands for any.
func (l *Launcher) Progress(ctx context.Context, key Key, startID string) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		p := &telling{Launcher: l, key: key, yield: yield, begun: time.Now()}
		if startID != "" {
			p.id8 = startID8(startID)
		}
		p.changes = l.store.watchServer(ctx, key)
		p.run(ctx)
	}
}

// telling is one call of Progress.
type telling struct {
	*Launcher

	key Key
	// id8 is what is left of the start id; "" for any start.
	id8     string
	yield   func(Step) bool
	changes *watcher
	begun   time.Time
	// over: the last step was told, or nobody listens any more.
	over bool
	// said is the last message that wasn't an event's.
	said string
	// percent is KubeSpawner's.
	percent float64

	// uid of the pod that is told of; "" before there is one. events are its own.
	uid types.UID
	// appear ends the time that a pod may take to appear, while there is none.
	appear *time.Timer
	// going: it is being stopped, perhaps to make room for the next.
	going      bool
	events     <-chan *corev1.Event
	stopEvents context.CancelFunc
}

const (
	// appearWithin is how long a pod may take to appear that another replica made.
	appearWithin = 5 * time.Second
	// patienceAfter and patienceEvery say when there are words of patience, where there is nothing else to tell.
	patienceAfter = time.Minute
	patienceEvery = 30 * time.Second
)

func (p *telling) run(ctx context.Context) {
	p.appear = time.NewTimer(appearWithin)
	defer func() { p.follow(ctx, nil); p.appear.Stop() }()
	calm := time.NewTimer(patienceAfter)
	defer calm.Stop()
	for !p.over {
		select {
		case <-ctx.Done():
			return
		case <-p.hear():
		case <-p.changes.raised:
			for n, more := p.changes.take(); more && !p.over; n, more = p.changes.take() {
				p.change(ctx, n)
			}
		case event, open := <-p.events:
			if !open {
				p.events = nil
				continue
			}
			p.event(event)
		case <-p.appear.C:
			r := p.store.get(p.key)
			switch {
			case p.uid != "":
			case p.flights.has(p.key):
				p.appear.Reset(appearWithin)
			case r != nil && !p.isOfAnother(r): // it was passed over for a start that came to nothing
				p.change(ctx, noted{record: r})
				p.appear.Reset(appearWithin)
			default:
				p.tell(Step{Progress: -1, Message: "The server isn't there: no pod of it has been started", Done: true})
			}
		case <-calm.C:
			p.tell(Step{Progress: -1, Message: fmt.Sprintf("Still waiting after %d seconds: %s", int(time.Since(p.begun).Seconds()), p.said)})
			calm.Reset(patienceEvery)
		}
	}
}

// hear tells what the start of this replica is at, as long as there is no pod that stays, and gives a channel that says when there may be
// more.
func (p *telling) hear() <-chan struct{} {
	f, begun := p.flights.of(p.key)
	if f == nil {
		return begun
	}
	said, more := f.heard()
	if p.uid == "" || p.going {
		p.mention(said)
	}
	return more
}

func (p *telling) tell(s Step) {
	if p.over {
		return
	}
	p.over = !p.yield(s) || s.Done
}

// mention tells something that is no event, once.
func (p *telling) mention(message string) {
	if message == "" || message == p.said {
		return
	}
	p.said = message
	p.tell(Step{Progress: -1, Message: message})
}

// change takes in how a pod of the server is now.
func (p *telling) change(ctx context.Context, n noted) {
	r := n.record
	switch {
	case n.deleted && r.UID != p.uid, !n.deleted && r.server.State == Stopping && p.uid == "", p.uid == "" && p.makesWay(r), p.isOfAnother(r):
		return // the last run's
	case n.deleted:
		if p.store.get(p.key) == nil && !p.flights.has(p.key) {
			p.tell(Step{Progress: -1, Message: "The server was stopped while it started", Done: true})
			return
		}
		p.follow(ctx, nil) // another takes its place
		return
	case r.UID != p.uid:
		p.follow(ctx, r)
		p.tell(Step{Progress: 0, Message: fmt.Sprintf("Policy admitted pod %s in namespace %s", r.Name, r.Namespace)})
	}
	p.state(ctx, r)
}

// isOfAnother says of a pod whether it is of another start than the one that is asked about.
func (p *telling) isOfAnother(r *record) bool { return p.id8 != "" && p.id8 != r.server.StartID8 }

// makesWay says of a pod whether a start that is under way here is about to replace it.
func (p *telling) makesWay(r *record) bool {
	f, _ := p.flights.of(p.key)
	return f != nil && f.id8 != r.server.StartID8
}

// state tells the stage of a pod, and ends where it is the last.
func (p *telling) state(ctx context.Context, r *record) {
	server := r.copyOfServer()
	done := func(percent int, message string) {
		server.Message = message
		if server.State == Running {
			server.Message = ""
		}
		p.tell(Step{Progress: percent, Message: message, Done: true, Server: server})
	}
	switch server.State {
	case Running:
		p.remaining()
		done(100, "The server is ready")
	case Failed, Stopped:
		p.remaining()
		done(-1, p.explain(ctx, r))
	case Stopping:
		p.going = true
		p.mention(server.Message)
	case Pending:
		if p.hopeless(r.trouble.reason) {
			p.remaining()
			server.State = Failed
			done(-1, p.explain(ctx, r))
			return
		}
		if r.trouble.message == "" {
			p.mention(r.stage)
			return
		}
		p.mention(p.explain(ctx, r))
	}
}

// follow begins to listen to a pod's events, instead of the ones before; nil: to none.
func (p *telling) follow(ctx context.Context, r *record) {
	if p.stopEvents != nil {
		p.stopEvents()
	}
	p.uid, p.going, p.events, p.stopEvents = "", false, nil, nil
	if r == nil {
		p.appear.Reset(appearWithin)
		return
	}
	ctx, p.stopEvents = context.WithCancel(ctx)
	p.uid, p.percent, p.events = r.UID, 0, p.podEvents(ctx, r.Namespace, r.Name, r.UID)
}

// event tells one as KubeSpawner does; each brings the server a third of the way nearer to 90 percent.
func (p *telling) event(e *corev1.Event) {
	const nearly, part = 90, 3
	p.percent += (nearly - p.percent) / part
	p.tell(Step{
		Progress: int(p.percent),
		Message:  fmt.Sprintf("%s [%s] %s", timeOf(e).UTC().Format(time.RFC3339), e.Type, e.Message),
		Event:    encoded(e),
	})
}

// remaining tells the events that are here already, so that those of a server which came up quickly are told too.
func (p *telling) remaining() {
	for !p.over {
		select {
		case e, open := <-p.events:
			if !open {
				return
			}
			p.event(e)
		default:
			return
		}
	}
}
