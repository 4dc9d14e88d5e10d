package main

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// testOptions say which tests run, and whether their snapshots are written.
type testOptions struct {
	matching *regexp.Regexp
	update   bool
}

// runTests runs the tests of all files. A file that can't be used is found before the first test runs.
func runTests(names []string, options testOptions, write reportWriter, io streams) error {
	began := time.Now()
	cases, err := casesIn(names, options)
	if err != nil {
		return invalid(err)
	}
	report := testReport{results: make([]testResult, len(cases))}
	group := allCores()
	for i := range cases {
		group.Go(func() (err error) {
			if report.results[i], err = cases[i].run(); err != nil {
				err = fmt.Errorf("%s: test %q: %w", cases[i].file, cases[i].name, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return failed(err)
	}
	if options.update {
		written, err := updateSnapshots(cases, report.results)
		for _, file := range written {
			fmt.Fprintln(io.err, "wrote "+file)
		}
		if err != nil {
			return err
		}
	} else {
		for i := range report.results {
			r := &report.results[i]
			r.Differences = slices.Concat(r.changed, r.Differences)
		}
	}
	report.took = time.Since(began)
	if err := write(&report, io); err != nil {
		return failed(fmt.Errorf("write the report: %w", err))
	}
	if report.failed() > 0 {
		return &failure{code: exitDenied} // the report says why
	}
	return nil
}

// casesIn reads the tests of files and folders, in their order. All that can't be used is in the error.
func casesIn(names []string, options testOptions) ([]testCase, error) {
	files, err := testFilesIn(names)
	of, problems := make([][]testCase, len(files)), make([]error, len(files))
	var caches policyCaches
	group := allCores()
	for i, name := range files {
		group.Go(func() error {
			of[i], problems[i] = casesOf(name, options, &caches)
			return nil
		})
	}
	_ = group.Wait() // errors are gathered in order
	if err := errors.Join(append([]error{err}, problems...)...); err != nil {
		return nil, err
	}
	cases := slices.Concat(of...)
	if len(cases) == 0 {
		return nil, fmt.Errorf("no tests: --run %q matches none of %s", options.matching, strings.Join(names, ", "))
	}
	return cases, nil
}

// allCores runs as many functions at once as there are cores for.
func allCores() *errgroup.Group {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	return &group
}
