// Command picture asks a Prometheus that has scraped a run of the webhook whether every panel of the chart's dashboard and
// every alert has data of it, and draws what the dashboard would show:
//
//	go run ./test/observability/picture --prometheus http://127.0.0.1:9090 --since 15m --out dashboard.svg
//
// It exits 0 if everything has data, 2 on wrong usage, 3 if something has none, which it names, or could not be asked for.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/slipway-hub/slipway/test/observability"
)

func main() {
	var (
		url   = flag.String("prometheus", "", "`URL` of Prometheus")
		since = flag.Duration("since", 15*time.Minute, "how far back to look")
		rate  = flag.Duration("rate", time.Minute, "what rates are taken over: four scrapes or more")
		out   = flag.String("out", "", "`file` to draw the dashboard into, as SVG; empty: nothing is drawn")
		chart = flag.String("chart", "charts/slipway", "`folder` of the chart")
	)
	flag.Parse()
	if *url == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), *url, *since, *rate, *out, *chart); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run(ctx context.Context, url string, since, rate time.Duration, out, chart string) error {
	source, err := observability.NewSource(url, since, rate)
	if err != nil {
		return err
	}
	panels, panelsErr := observability.Panels(chart)
	alerts, alertsErr := observability.Alerts(chart)
	if err := errors.Join(panelsErr, alertsErr); err != nil {
		return err
	}
	if out != "" {
		var picture bytes.Buffer
		if err := observability.Draw(ctx, &picture, source, panels); err != nil {
			return err
		}
		if err := os.WriteFile(out, picture.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write the picture: %w", err)
		}
	}
	missing, err := source.Missing(ctx, panels, alerts)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("no data in Prometheus for:\n  %s", strings.Join(missing, "\n  "))
	}
	fmt.Fprintf(os.Stdout, "%d panels and %d alerts have data\n", len(panels), len(alerts))
	return nil
}
