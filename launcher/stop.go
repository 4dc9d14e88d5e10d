package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-hub/slipway/policy"
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
	records, awaitGone := l.store.all(key), l.store.awaitGone
	if len(records) == 0 {
		// Another replica may have started it just now.
		var err error
		if records, err = l.unheardOf(ctx, key); err != nil {
			return nil, err
		}
		awaitGone = l.awaitGoneUnheardOf
	}
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
		switch err := awaitGone(waiting, r); {
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

// unheardOf asks the cluster for the pods of a server.
func (l *Launcher) unheardOf(ctx context.Context, key Key) ([]*record, error) {
	var records []*record
	const soon = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for _, namespace := range l.namespaces() {
		list, err := l.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{
			policy.LabelHub: key.Hub, policy.LabelUsername: policy.LabelSlug(key.User),
		}.String()})
		if err != nil {
			return nil, fmt.Errorf("look for the pods of %s: %w", key, err)
		}
		for i := range list.Items {
			if pod := &list.Items[i]; keyOf(pod) == key {
				records = append(records, l.recordOf(pod))
			}
		}
	}
	return records, nil
}

// awaitGoneUnheardOf waits until a pod isn't there by asking for it; its error is that of ctx, or the cluster's.
func (l *Launcher) awaitGoneUnheardOf(ctx context.Context, r *record) error {
	for wait := patience(); ; {
		pod, err := l.client.CoreV1().Pods(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && pod.UID != r.UID {
			return nil
		}
		if again, after := mayGoWell(err); err != nil && !again || !sleep(ctx, max(after, wait.Step())) {
			return cmp.Or(err, context.Cause(ctx))
		}
	}
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
