//go:build chaos

// Package chaos kills the launchers, the hub and the webhooks at random moments, while people start and stop their servers, and
// looks at what is left.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/fleet"
	"github.com/slipway-hub/slipway/test/world"
)

var (
	seed   = flag.Uint64("chaos.seed", 0, "`seed` of all that is random; 0: another one each time")
	starts = flag.Int("chaos.starts", 300, "`number` of starts")
)

const (
	// rounds is how often each user starts a server.
	rounds = 5
	// atOnce is how many people are there at one time.
	atOnce = 16
)

// settings give each server a home. PORT is where the notebooks listen.
const settings = `
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: servers}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  hubEnv: ["JUPYTERHUB_*", JPY_API_TOKEN]
  deleteClaims: true
  defaults:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    port: %d
    memLimit: 1Gi
    storagePvcEnsure: true
    storageCapacity: 1Gi
    storageClass: homes
    volumes: {home: {persistentVolumeClaim: {claimName: "{pvc_name}"}}}
    volumeMounts: {home: {mountPath: /home/jovyan}}
`

func TestNothingIsLostWhereProgramsAreKilled(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-chaos.seed %d", *seed)
	ports, err := world.FreePorts(1)
	require.NoError(t, err)
	f := fleet.New(t, fleet.Options{
		Cluster:  kube.Options{FakeNodes: 3, ControllerManager: true, Progress: os.Stderr},
		Webhooks: 2, Launchers: 2, Policy: fmt.Sprintf(settings, ports[0]),
	})
	users := names(*starts / rounds)
	makeVolumes(t, f, 2*len(users)) // the volume of a home that was deleted is given to no other
	answerForPods(t, f.Admin, fleet.Namespace, ports[0])
	p := &people{Fleet: f, hub: startHub(t, f), stays: map[string]types.UID{}, said: map[string]int{}}
	for _, user := range users {
		require.NoError(t, p.join(t.Context(), user))
	}

	began := time.Now()
	k := startKilling(t, f, p.hub)
	err = p.liveAll(t.Context(), users)
	k.end(t)
	t.Logf("%d starts in %s: %s", p.starts.Load(), time.Since(began).Round(time.Second), k)
	t.Logf("%d times somebody had to ask once more, since the hub gave up or forgot it; it refused:\n%s", p.again.Load(), p.refusals())
	require.NoError(t, err)

	p.verify(t, users)
	p.leaveAll(t, users)
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("user-%03d", i)
	}
	return all
}

// liveAll has everybody live; two of three want their last server to stay. The third is deleted, and every other one of those is
// made again and starts once more.
func (p *people) liveAll(ctx context.Context, users []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, user := range users {
		group.Go(func() error {
			r := rand.New(rand.NewPCG(*seed, uint64(i)))
			leaves, comesBack := i%3 == 0, i%6 == 0
			if err := p.live(ctx, user, rounds, !leaves, r); err != nil || !leaves {
				return err
			}
			if err := p.leave(ctx, user); err != nil || !comesBack {
				return err
			}
			if err := p.join(ctx, user); err != nil {
				return err
			}
			return p.live(ctx, user, 1, true, r)
		})
	}
	return group.Wait()
}

// killer kills programs at random moments, and starts them again.
type killer struct {
	mu     sync.Mutex
	killed map[string]int
	err    error

	stop  context.CancelFunc
	group sync.WaitGroup
}

// String says how often what was killed.
func (k *killer) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("killed launchers %d times, the hub %d times, webhooks %d times", k.killed["launcher"], k.killed["hub"], k.killed["webhook"])
}

// startKilling goes on until end. Webhooks and launchers may both be away at once.
func startKilling(t *testing.T, f *fleet.Fleet, h *hub) *killer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	k := &killer{killed: map[string]int{}, stop: stop}
	victims := map[string][]*fleet.Unit{"launcher": f.Launchers, "webhook": f.Webhooks, "hub": {h.Unit}}
	// As often as a program is up again and had time to do something: a hub takes some seconds to start.
	every := map[string]time.Duration{"launcher": 4 * time.Second, "webhook": 4 * time.Second, "hub": 10 * time.Second}
	n := uint64(1 << 32)
	for kind, units := range victims {
		for _, u := range units {
			n++
			r := rand.New(rand.NewPCG(*seed, n))
			k.group.Go(func() {
				for ctx.Err() == nil {
					pause(ctx, r, every[kind])
					if ctx.Err() == nil {
						k.kill(ctx, kind, u, r)
					}
				}
			})
		}
	}
	return k
}

// kill is one kill and a new start, until the program is ready, or sooner: it may well be killed before that.
func (k *killer) kill(ctx context.Context, kind string, u *fleet.Unit, r *rand.Rand) {
	err := u.Kill()
	pause(ctx, r, time.Second)
	if err == nil {
		err = u.Start()
	}
	if err == nil && (kind == "hub" || r.IntN(4) > 0) {
		err = u.AwaitReady(context.WithoutCancel(ctx))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.killed[kind]++
	if err != nil && k.err == nil {
		k.err = err
		k.stop()
	}
}

// end stops the killing; all programs are started again.
func (k *killer) end(t *testing.T) {
	t.Helper()
	k.stop()
	k.group.Wait()
	assert.NoError(t, k.err)
	for kind, least := range map[string]int{"launcher": 10, "webhook": 10, "hub": 3} {
		assert.GreaterOrEqual(t, k.killed[kind], least, "%s: there was no chaos", kind)
	}
}
