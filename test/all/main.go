// Command all runs every test of a make target (test, which it takes when none is named, e2e or e2e-full) and closes with
// one line: N passed, N failed, N skipped. It exits with 1 unless all suites ran and nothing failed, and with 2 where there is
// no such target.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// results is where each suite's JUnit report is written; CI systems read them there.
const results = "test/results"

func main() {
	target := "test"
	if len(os.Args) > 1 {
		target = os.Args[1]
	}
	chosen, err := suitesOf(target)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	total := runAll(ctx, chosen)
	stop()
	fmt.Fprintln(os.Stdout, total)
	if total.failed > 0 {
		os.Exit(1)
	}
}

// runAll runs the suites one after the other and counts their tests. After an interrupt nothing more is started, and what
// didn't run counts as failed.
func runAll(ctx context.Context, suites []suite) tally {
	var total tally
	for _, s := range suites {
		one, err := s.run(ctx)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		}
		total = total.plus(one)
		if err != nil && s.needed {
			break
		}
	}
	return total
}

// suite is a program that runs tests and writes a JUnit report.
type suite struct {
	name string
	// report is the name of the JUnit report in results; empty for a preparation, which has no tests.
	report string
	// needed says that nothing after it can run where it fails.
	needed bool
	// command gets the absolute path of the report.
	command func(report string) []string
}

// run runs the suite and counts its tests. A suite that fails without a failed test, because it didn't compile, crashed
// or wrote no report, counts as one failure more.
func (s suite) run(ctx context.Context) (tally, error) {
	report, err := s.cleanReport()
	if err != nil {
		return tally{failed: 1}, err
	}
	fmt.Fprintf(os.Stderr, "== %s\n", s.name)
	args := s.command(report)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// An interrupt typed on the terminal has reached it too; it gets the time to stop what it started.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	failure := cmd.Run()
	if failure != nil {
		failure = fmt.Errorf("%s: %w", strings.Join(args, " "), failure)
	}
	if s.report == "" {
		if failure != nil {
			return tally{failed: 1}, failure
		}
		return tally{}, nil
	}
	counted, err := readReport(report)
	switch {
	case failure != nil && counted.failed == 0:
		counted.failed = 1
		return counted, failure
	case err != nil:
		counted.failed++
		return counted, err
	}
	return counted, nil
}

// cleanReport gives the absolute path of the report, and removes what an earlier run left there.
func (s suite) cleanReport() (string, error) {
	if s.report == "" {
		return "", nil
	}
	report, err := filepath.Abs(filepath.Join(results, s.report))
	if err != nil {
		return "", fmt.Errorf("find the folder of the reports: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(report), 0o755); err != nil {
		return "", fmt.Errorf("make the folder of the reports: %w", err)
	}
	if err := os.Remove(report); err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("remove the report of an earlier run: %w", err)
	}
	return report, nil
}
