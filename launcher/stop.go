package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// StopOptions of Stop.
type StopOptions struct {
	// GracePeriod that the server has to end; nil: a second, as KubeSpawner; 0: at once.
	GracePeriod *time.Duration
	// Wait is how long to wait until the pod is gone; 0: not at all.
	Wait time.Duration
}

// defaultGrace is KubeSpawner's delete_grace_period.
const defaultGrace = time.Second

// Stop deletes a server's pod; its Secret goes with it, its claims stay. A start of the server that is under way ends. A nil Server without
// an error: it is gone; else it is still stopping.
func (l *Launcher) Stop(ctx context.Context, key Key, o StopOptions) (*Server, error) {
	if err := errors.Join(l.knows(key.Hub), l.syncedNow()); err != nil {
		return nil, err
	}
	if err := l.flights.stop(ctx, key); err != nil {
		return nil, err
	}
	grace := defaultGrace
	if o.GracePeriod != nil {
		grace = max(0, *o.GracePeriod)
	}
	records := l.store.all(key)
	for _, r := range records {
		if err := l.removePatiently(ctx, r, grace); err != nil {
			return nil, fmt.Errorf("delete pod %s/%s: %w", r.Namespace, r.Name, err)
		}
	}
	if len(records) == 0 {
		return nil, nil //nolint:nilnil // nothing is there, which is what was asked for
	}
	waiting, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	for _, r := range records {
		switch err := l.store.awaitGone(waiting, key, r.UID); {
		case err == nil:
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default:
			s := r.copyOfServer()
			s.State, s.Message, s.ExitCode = Stopping, "The server is being stopped", nil
			return s, nil
		}
	}
	return nil, nil //nolint:nilnil // it is gone, which is what was asked for
}

// removePatiently tries again for a while where the API server can't do it now.
func (l *Launcher) removePatiently(ctx context.Context, r *record, grace time.Duration) error {
	const longEnough = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, longEnough)
	defer cancel()
	for wait := patience(); ; {
		err := l.remove(ctx, r.Namespace, r.Name, r.UID, grace)
		again, after := mayGoWell(err)
		if err == nil || !again || !sleep(ctx, max(after, wait.Step())) {
			return err
		}
	}
}
