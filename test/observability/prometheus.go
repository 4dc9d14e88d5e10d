package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// Prometheus is one that runs.
type Prometheus struct {
	// URL is its address.
	URL string
	cmd *exec.Cmd
}

// StartPrometheus has a program scrape these HOST:PORTs, and keeps what it finds in a folder. address is the HOST:PORT that it
// listens on. It is ready when this returns.
func StartPrometheus(ctx context.Context, program, folder, address string, targets []string, every time.Duration) (*Prometheus, error) {
	config, err := yaml.Marshal(map[string]any{"scrape_configs": []any{map[string]any{
		"job_name": "slipway-webhook", "scrape_interval": every.String(), "scrape_timeout": every.String(),
		"static_configs": []any{map[string]any{"targets": targets}},
	}}})
	if err != nil {
		return nil, fmt.Errorf("configure Prometheus: %w", err)
	}
	file := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("configure Prometheus: %w", err)
	}
	log, err := os.Create(filepath.Join(folder, "prometheus.log"))
	if err != nil {
		return nil, fmt.Errorf("open Prometheus' log: %w", err)
	}
	defer log.Close()
	p := &Prometheus{URL: "http://" + address, cmd: exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+address)} //nolint:noctx // Stop ends it, and waits
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	if err := p.await(ctx); err != nil {
		_ = p.Stop() // the failure is what is to be said
		return nil, fmt.Errorf("start Prometheus (%s has its log): %w", log.Name(), err)
	}
	return p, nil
}

// await waits until it has scraped all its targets.
func (p *Prometheus) await(ctx context.Context) error {
	const soon = time.Minute
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.scraped(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still after %s: %w", soon, err)
		case <-tick.C:
		}
	}
}

func (p *Prometheus) scraped(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/api/v1/targets?state=active", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			ActiveTargets []struct {
				Health    string `json:"health"`
				LastError string `json:"lastError"`
				ScrapeURL string `json:"scrapeUrl"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("read the targets: %w", err)
	}
	if len(answer.Data.ActiveTargets) == 0 {
		return fmt.Errorf("it has no targets yet")
	}
	for _, target := range answer.Data.ActiveTargets {
		if target.Health != "up" {
			return fmt.Errorf("%s is %s %s", target.ScrapeURL, target.Health, target.LastError)
		}
	}
	return nil
}

// Stop ends it and waits.
func (p *Prometheus) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop Prometheus: %w", err)
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stop Prometheus: %w", err)
	}
	return nil
}
