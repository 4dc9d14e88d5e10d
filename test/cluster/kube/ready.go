package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

const (
	// readyWithin is how long one program has until it answers. It takes some
	// seconds; the rest is for a machine that does other work.
	readyWithin = 2 * time.Minute
	// askEvery is how often a program is asked, and askWithin how long one
	// answer may take.
	askEvery, askWithin = 50 * time.Millisecond, 5 * time.Second
)

// check returns nil when what is waited for is there, and else what is missing.
type check func(ctx context.Context) error

// await returns nil when the check does, and an error with the end of the
// child's log when the child ends before that, or when it takes too long.
func (p *child) await(ctx context.Context, ready check) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("no answer in %s", readyWithin))
	defer cancel()
	go func() { // the end of the child ends a question that is being asked
		select {
		case <-p.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		missing := ask(ctx, ready)
		if missing == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			select {
			case <-p.exited:
				return p.failure()
			default:
			}
			return fmt.Errorf("wait for %s: %w (last: %w); the end of its log:\n%s",
				p.name, context.Cause(ctx), missing, p.logTail())
		}
	}
}

// ask runs the check within the time that one answer may take.
func ask(ctx context.Context, ready check) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return ready(ctx)
}

// answers checks that a server says on a path that it is well.
func (p *plane) answers(config *rest.Config, path string) check {
	if p.machine != nil {
		config = rest.CopyConfig(config)
		config.Dial = p.DialContext
	}
	client, err := rest.HTTPClientFor(config)
	return func(ctx context.Context) error {
		if err != nil {
			return fmt.Errorf("make a client: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, http.NoBody)
		if err != nil {
			return fmt.Errorf("make a request: %w", err)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, logTailBytes))
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %s: %s", path, response.Status, body)
		}
		return nil
	}
}

// awaitDefaultNamespace waits until the API server has made the namespace
// default, which it does only after it is ready, and gives it what a pod needs.
func (p *plane) awaitDefaultNamespace(ctx context.Context) error {
	apiServer := p.children[len(p.children)-1]
	var refused error
	err := apiServer.await(ctx, func(ctx context.Context) error {
		err := p.EnsureServiceAccount(ctx, "default", "default")
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			refused = err // not a matter of waiting
			return nil
		}
		return err
	})
	if refused != nil {
		return refused
	}
	return err
}
