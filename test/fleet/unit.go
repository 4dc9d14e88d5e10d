package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

// startWithin bounds how long a program may take until it is ready.
const startWithin = 2 * time.Minute

// Unit is a program that is started again after it was killed, as a container.
type Unit struct {
	Name string
	// Ready is the URL that answers 200 when it is, Metrics that of its metrics; empty without.
	Ready, Metrics string
	// Socket of a launcher.
	Socket string

	args, env []string
	log       string

	mu      sync.Mutex
	running *kube.Program
	killed  bool
}

// NewUnit is a further program of a test.
func NewUnit(name, ready, log string, args, env []string) *Unit {
	return &Unit{Name: name, Ready: ready, log: log, args: args, env: env}
}

// Start starts it; AwaitReady waits for it.
func (u *Unit) Start() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	cmd := exec.Command(u.args[0], u.args[1:]...) //nolint:noctx // a test kills it
	cmd.Env = append(os.Environ(), u.env...)
	var err error
	if u.running, err = kube.StartProgram(cmd, u.log); err != nil {
		return fmt.Errorf("start %s: %w", u.Name, err)
	}
	u.killed = false
	return nil
}

// AwaitReady waits until it is ready.
func (u *Unit) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	u.mu.Lock()
	running := u.running
	u.mu.Unlock()
	var ended error
	err := await(ctx, func() error {
		select {
		case <-running.Exited():
			ended = running.Failure()
			return nil
		default:
		}
		return get(ctx, u.Ready)
	})
	if err = errors.Join(ended, err); err != nil {
		return fmt.Errorf("%s isn't ready: %w", u.Name, err)
	}
	return nil
}

// get fails unless the answer is 200.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// Kill ends it by SIGKILL, and returns when it is gone. One that has ended by itself is an error, unless it was killed before.
func (u *Unit) Kill() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running == nil || u.killed {
		return nil
	}
	select {
	case <-u.running.Exited():
		return u.running.Failure()
	default:
	}
	u.killed = true
	return u.running.Kill()
}

// PID of its process.
func (u *Unit) PID() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running.PID()
}

// LogTail is the end of its log, over all its starts.
func (u *Unit) LogTail() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running == nil {
		return ""
	}
	return u.running.LogTail()
}
