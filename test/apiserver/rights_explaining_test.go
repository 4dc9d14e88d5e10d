package apiserver

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/world"
)

// explaining is a launcher that has every right of the chart but some.
type explaining struct {
	*companionTest

	launcher *launcher.Launcher
	key      launcher.Key
}

// starts alice's server.
func (e *explaining) starts(t *testing.T) {
	t.Helper()
	request := aliceStarts("one")
	_, err := e.launcher.Start(t.Context(), request)
	require.NoError(t, err)
	e.key = request.Key
}

// tells of the server's progress once its pod has this status.
func (e *explaining) tells(status corev1.PodStatus) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		e.starts(t)
		setStatus(t, e.World, e.namespace, "jupyter-alice", status)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range e.launcher.Progress(ctx, e.key, "") {
				continue // what it tells doesn't matter
			}
		}()
		t.Cleanup(func() { cancel(); <-ended })
	}
}

// What a launcher tells of servers and claims takes rights that its readiness doesn't ask for.
func TestEveryRightThatALauncherExplainsByIsNeeded(t *testing.T) {
	w := world.ForTest(t)
	unbound := corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: `persistentvolumeclaim "x" not found.`,
	}}}
	pending := corev1.PodStatus{Phase: corev1.PodPending}
	failed := notebookIs(corev1.PodFailed, oom)
	for _, c := range []struct {
		right string
		// beside is another that it goes without.
		beside  string
		provoke func(*explaining) func(*testing.T)
	}{
		{"list events", "", func(e *explaining) func(*testing.T) { return e.tells(pending) }},
		{"watch events", "", func(e *explaining) func(*testing.T) { return e.tells(pending) }},
		{"get persistentvolumeclaims", "", func(e *explaining) func(*testing.T) { return e.tells(unbound) }},
		// The companion's event says more than a quota does.
		{"list resourcequotas", "list events", func(e *explaining) func(*testing.T) { return e.tells(unbound) }},
		{"get pods/log", "", func(e *explaining) func(*testing.T) { return e.tells(failed) }},
		{"list persistentvolumeclaims", "", func(e *explaining) func(*testing.T) { return e.showsClaims }},
	} {
		t.Run(c.right, func(t *testing.T) {
			ns := w.Namespace(t)
			w.Put(t, ns, accountLaunches, course)
			e := &explaining{companionTest: &companionTest{w, ns}}
			var refused <-chan struct{}
			e.launcher, refused = lacking(t, w, ns, c.right, c.beside)
			c.provoke(e)(t)
			select {
			case <-refused:
			case <-time.After(world.Soon):
				t.Errorf("it does without the right to %s", c.right)
			}
		})
	}
}

// lacking runs a launcher without rights; refused has something in it once the first is refused.
func lacking(t *testing.T, w *world.World, namespace string, rights ...string) (l *launcher.Launcher, refused <-chan struct{}) {
	t.Helper()
	var first world.Right
	left := launcherRights(t).Without(func(r world.Right) bool {
		if r.String() == rights[0] {
			first = r
		}
		return r.String() == rights[0] || r.String() == rights[1]
	})
	config, err := w.Account(t.Context(), namespace, "launcher", left.Everywhere)
	require.NoError(t, err)
	refused = refusalOf(config, first)
	return runningLauncher(t, launcher.Config{Rest: config, Namespaces: []string{namespace}, Hubs: []string{"main"}, PodLogs: true}), refused
}

func (e *explaining) showsClaims(t *testing.T) {
	t.Helper()
	_, err := e.launcher.Claims(t.Context(), "main", "alice")
	assert.Error(t, err)
}
