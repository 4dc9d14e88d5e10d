package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tryLockEvery is how often a lock is tried that another process has. A
// blocking flock couldn't be interrupted.
const tryLockEvery = 200 * time.Millisecond

// lock waits until no other process builds the set. The kernel takes the lock away from
// a process that dies, so it is never stale.
func (b *builder) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(b.cache, 0o750); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(b.cache, strings.ToLower(b.name)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the cache: %w", err)
	}
	tick := time.NewTicker(tryLockEvery)
	defer tick.Stop()
	shown := func() {} // stops the showing
	defer func() { shown() }()
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock the cache %s: %w", b.cache, err), file.Close())
		}
		if !waiting {
			p := showProgress(b.out, b.name)
			shown = p.stop
			p.step("waiting for another process that builds it", 0)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-tick.C:
		}
	}
}
