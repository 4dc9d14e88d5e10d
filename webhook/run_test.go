package webhook

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// All else of Run needs an API server: see test/apiserver.

func TestRunSaysWhatIsMissingWhenItCannotStart(t *testing.T) {
	err := Run(t.Context(), Options{Config: &rest.Config{Host: "https://127.0.0.1:1"}, MetricsBindAddress: "0", CertDir: t.TempDir()})
	assert.ErrorContains(t, err, "set up the webhook")
}

func TestEndIsBoundedEvenIfSomethingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		group, running := errgroup.WithContext(ctx)
		hang := make(chan struct{})
		defer close(hang)
		group.Go(func() error {
			<-hang
			return nil
		})
		stop()
		started := time.Now()
		err := ended(running, group, 10*time.Second)
		assert.ErrorContains(t, err, "did not stop within 15s")
		assert.Equal(t, 15*time.Second, time.Since(started))
	})
}

func TestEndGivesTheFirstError(t *testing.T) {
	broken := errors.New("the certificate folder can't be watched")
	group, running := errgroup.WithContext(t.Context())
	group.Go(func() error { return broken })
	group.Go(func() error {
		<-running.Done()
		return nil
	})
	assert.ErrorIs(t, ended(running, group, time.Second), broken)
}
