//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

const (
	// loadClients create at once, each createEvery: a steady load that two cores bear beside a node.
	loadClients = 2
	createEvery = 100 * time.Millisecond
	// loadAtMost bounds a load that nobody ends.
	loadAtMost = 20 * time.Minute
	// createWithin is longer than the API server waits for all webhooks.
	createWithin = 40 * time.Second
	// keptFailures is how many different messages are shown.
	keptFailures = 5
)

// load creates servers until it is ended, stored and deleted ones and dry-run ones in turn, and counts what becomes of them.
type load struct {
	mu       sync.Mutex
	created  int
	failed   int
	messages []string
	slowest  time.Duration

	cancel context.CancelFunc
	group  sync.WaitGroup
}

// startLoad has the hub create servers of the namespace. No node takes these servers, so they cost no container.
func startLoad(t *testing.T, hub kubernetes.Interface, namespace, hubName string) *load {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), loadAtMost)
	l := &load{cancel: cancel}
	for client := range loadClients {
		l.group.Go(func() {
			tick := time.NewTicker(createEvery)
			defer tick.Stop()
			for n := 0; ; n++ {
				user := fmt.Sprintf("load%d-%d", client, n)
				l.create(ctx, hub, namespace, policy.Identity{Name: "jupyter-" + user, Hub: hubName, User: user}, n%2 == 0)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

// create makes one server, and deletes it where it is stored.
func (l *load) create(ctx context.Context, hub kubernetes.Interface, namespace string, id policy.Identity, dryRun bool) {
	// What has begun when the load ends is waited for: a request cut off would count as failed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createWithin)
	defer cancel()
	options := metav1.CreateOptions{}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	pods := hub.CoreV1().Pods(namespace)
	began := time.Now()
	_, err := pods.Create(ctx, launcher.Skeleton(id, namespace), options)
	l.count(time.Since(began), err)
	if err == nil && !dryRun {
		if err := pods.Delete(ctx, id.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil && !apierrors.IsNotFound(err) {
			l.count(0, fmt.Errorf("delete: %w", err))
		}
	}
}

func (l *load) count(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err == nil {
		l.created++
		return
	}
	l.failed++
	if len(l.messages) < keptFailures {
		l.messages = append(l.messages, time.Now().Format("15:04:05.000 ")+err.Error())
	}
}

// stop waits for what has begun.
func (l *load) stop() {
	l.cancel()
	l.group.Wait()
}

// counts are those until now.
func (l *load) counts() (created, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.created, l.failed
}

// requireNoFailure ends the load; what was done meanwhile must not have cost one server.
func (l *load) requireNoFailure(t *testing.T, during string) {
	t.Helper()
	l.stop()
	created, failed := l.counts()
	t.Logf("%s: %d creates, %d failed, the slowest took %s", during, created, failed, l.slowest.Round(time.Millisecond))
	require.Zero(t, failed, "%s:\n%s", during, strings.Join(l.messages, "\n"))
	require.NotZero(t, created, "%s: nothing was created meanwhile", during)
}
