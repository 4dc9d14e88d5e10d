//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/fleet"
)

// people start and stop their servers, and don't give up.
type people struct {
	*fleet.Fleet
	hub    *hub
	starts atomic.Int64
	// again counts starts and stops that the hub gave up or forgot, so that they were asked for once more.
	again atomic.Int64

	mu sync.Mutex
	// stays has the pods of those who want their servers to go on.
	stays map[string]types.UID
	lost  []string
	said  map[string]int // what the hub refused, how often
}

// patience bounds how long somebody tries one thing.
const patience = 3 * time.Minute

// await asks now and then until it is so. An error is an outage, in which one tries again.
func await(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask(ctx)
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last: %w)", what, ctx.Err(), errors.Join(err, errUnfinished))
		case <-tick.C:
		}
	}
}

var errUnfinished = errors.New("it isn't so yet")

// pause lets a random time go by.
func pause(ctx context.Context, r *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(r.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// live is one user's day: so many starts, each but the last with a stop after it; the last one only where it is not to stay.
func (p *people) live(ctx context.Context, user string, rounds int, stays bool, r *rand.Rand) error {
	for round := range rounds {
		if err := p.start(ctx, user); err != nil {
			return err
		}
		uid, err := p.pod(ctx, user)
		if err != nil {
			return err
		}
		p.keep(user, uid)
		pause(ctx, r, 2*time.Second)
		if stays && round == rounds-1 {
			return nil
		}
		p.look(ctx, user)
		p.forget(user)
		if err := p.stop(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// start asks for the server until it is ready.
func (p *people) start(ctx context.Context, user string) error {
	asked := 0
	err := await(ctx, "start the server of "+user, func(ctx context.Context) (bool, error) {
		s, err := p.hub.get(ctx, user)
		switch {
		case err != nil:
			return false, err
		case s != nil:
			return s.Ready && s.Pending == "", nil
		}
		asked++
		return false, p.note(p.hub.call(ctx, http.MethodPost, "/users/"+user+"/server", p.hub.token, nil))
	})
	p.again.Add(int64(max(0, asked-1)))
	if err == nil {
		p.starts.Add(1)
	}
	return err
}

// stop asks for the end of the server until the hub says that it is gone. One that is gone before was lost.
func (p *people) stop(ctx context.Context, user string) error {
	asked := 0
	err := await(ctx, "stop the server of "+user, func(ctx context.Context) (bool, error) {
		s, err := p.hub.get(ctx, user)
		switch {
		case err != nil:
			return false, err
		case s == nil:
			if asked == 0 {
				p.lose(user + ": the hub has no server to stop")
			}
			return true, nil
		case s.Pending != "":
			return false, nil
		}
		asked++
		return false, p.note(p.hub.call(ctx, http.MethodDelete, "/users/"+user+"/server", p.hub.token, nil))
	})
	p.again.Add(int64(max(0, asked-1)))
	return err
}

// note keeps what the hub refuses, without what differs between users.
func (p *people) note(err error) error {
	if isRefused(err) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.said[err.Error()[:min(len(err.Error()), 120)]]++
	}
	return err
}

// pod is that of a user's server, which is ready; there must be one.
func (p *people) pod(ctx context.Context, user string) (types.UID, error) {
	pods, err := p.Admin.CoreV1().Pods(fleet.Namespace).List(ctx, metav1.ListOptions{LabelSelector: policy.LabelUsername + "=" + policy.LabelSlug(user)})
	if err != nil {
		return "", err
	}
	if len(pods.Items) != 1 {
		return "", fmt.Errorf("user %s, whose server is ready, has %d pods", user, len(pods.Items))
	}
	return pods.Items[0].UID, nil
}

func (p *people) keep(user string, uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stays[user] = uid
}

func (p *people) forget(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stays, user)
}

// look notes a server that went, or was replaced, though nobody wanted that.
func (p *people) look(ctx context.Context, user string) {
	uid, err := p.pod(ctx, user)
	p.mu.Lock()
	was := p.stays[user]
	p.mu.Unlock()
	if err != nil || uid != was {
		p.lose(fmt.Sprintf("%s: pod %s, then %s (%v)", user, was, uid, err))
	}
}

func (p *people) lose(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = append(p.lost, what)
}

// join makes a user in the hub.
func (p *people) join(ctx context.Context, user string) error {
	return p.have(ctx, "make user "+user, http.MethodPost, user, http.StatusConflict)
}

// leave deletes a user in the hub, whose home is to go with him.
func (p *people) leave(ctx context.Context, user string) error {
	return p.have(ctx, "delete user "+user, http.MethodDelete, user, http.StatusNotFound)
}

// have asks for a change of a user until the hub says that it is made. A hub that was killed before it could say so says next time,
// by that status, that there is nothing to do.
func (p *people) have(ctx context.Context, what, method, user string, nothingToDo int) error {
	return await(ctx, what, func(ctx context.Context) (bool, error) {
		err := p.note(p.hub.call(ctx, method, "/users/"+user, p.hub.token, nil))
		var r *refused
		return err == nil || errors.As(err, &r) && r.status == nothingToDo, err
	})
}

// refusals are what the hub refused, one a line.
func (p *people) refusals() string {
	var lines []string
	for said, often := range p.said {
		lines = append(lines, fmt.Sprintf("%4d times: %s", often, said))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
