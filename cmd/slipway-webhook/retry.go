package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// final is an error that trying again doesn't mend.
type final struct{ error }

// retry tries every two seconds until it works, the error is final, or ctx ends. Each new error is told once.
func retry(ctx context.Context, out io.Writer, try func() error) error {
	const interval = 2 * time.Second
	tick := time.NewTicker(interval)
	defer tick.Stop()
	told := ""
	for {
		err := try()
		if err == nil {
			return nil
		}
		if f, ok := errors.AsType[final](err); ok {
			return f.error
		}
		if said := err.Error(); said != told && ctx.Err() == nil {
			fmt.Fprintf(out, "Not yet: %s\n", said)
			told = said
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %s", context.Cause(ctx), told)
		case <-tick.C:
		}
	}
}
