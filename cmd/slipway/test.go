package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

func newTest(io streams) *cobra.Command {
	var matching, output string
	cmd := &cobra.Command{
		Use:   "test [FILE|FOLDER]...",
		Short: "Test policies: which pod a user gets, and who is denied",
		Long: `Runs the policy tests of files and folders (default: the current one, with the folders in it): the files that end in
_test.yaml. Folders in them that are hidden or named testdata are left out, unless they are named themselves. Each test names a
user and what policy has to make of that user's server. Policies are judged as the cluster judges them, and nothing but files is
read.

  policies: [course.yaml]            # files or folders, relative to this file, as with -f
  tests:
  - name: students get the course's image
    namespace: {name: data101, labels: {tier: teaching}}    # default: default
    identity: {hub: campus, user: alice, server: "", userId: 7, groups: [data101], profile: "", options: {image: r},
      userAnnotations: {uid: "1001"}, env: {JUPYTERHUB_USER: alice}}
    launcher: jupyter/hub            # default: one that policy lists
    pod: kubespawner-pod.yaml        # the pod that is sent; default: a bare skeleton
    claims: [claims.yaml]            # claims that exist
    expect:                          # at least one of these
      pod: {spec: {containers: [{name: notebook, image: "r:1"}]}}
      exactPod: alice.yaml           # the whole pod, as slipway render prints it
      absent: ["spec.containers[notebook].env[DEBUG]"]
      claim: {spec: {resources: {requests: {storage: 5Gi}}}}
      noClaim: true
      denied: [{code: ConstraintViolated, field: "spec.containers[notebook].image", message: part of it}]
      warnings: [part of one]

pod and claim are parts: maps may have more, and so may lists whose items Kubernetes knows by a name (containers, variables,
volumes, mounts by their path, ports by their number). Other lists, such as args and tolerations, are wholes, and an empty
list is none. Of what is denied, each entry has to fit a denial, and each denial an entry.`,
		Example: `  slipway test policies/
  slipway test --run 'student' -o junit policies/ > report.xml`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			write, err := testWriter(output)
			pattern, patternErr := regexp.Compile(matching)
			if patternErr != nil {
				err = errors.Join(err, fmt.Errorf("--run %q: %w", matching, patternErr))
			}
			if err != nil {
				return invalid(err)
			}
			return runTests(args, pattern, write, io)
		},
	}
	cmd.Flags().StringVar(&matching, "run", "", "run only the tests whose name matches this `regexp`")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, junit or json")
	return cmd
}

// runTests runs the tests of all files. A file that can't be used is found before the first test runs.
func runTests(names []string, matching *regexp.Regexp, write reportWriter, io streams) error {
	began := time.Now()
	files, err := testFilesIn(names)
	problems := []error{err}
	var cases []testCase
	var cache policyCache
	for _, name := range files {
		of, err := casesOf(name, matching, &cache)
		cases = append(cases, of...)
		problems = append(problems, err)
	}
	switch err := errors.Join(problems...); {
	case err != nil:
		return invalid(err)
	case len(files) == 0:
		return invalid(errors.New("no tests: no file there ends in _test.yaml"))
	case len(cases) == 0:
		return invalid(fmt.Errorf("no tests: --run %q matches none", matching))
	}
	report := testReport{results: make([]testResult, len(cases))}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
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
	report.took = time.Since(began)
	if err := write(&report, io); err != nil {
		return failed(fmt.Errorf("write the report: %w", err))
	}
	if report.failed() > 0 {
		return &failure{code: exitDenied} // the report says why
	}
	return nil
}

// reportWriter writes a report in one format.
type reportWriter func(*testReport, streams) error

func testWriter(format string) (reportWriter, error) {
	// Where the output is for machines, people read what failed beside it.
	beside := func(encode func(io.Writer, *testReport) error) reportWriter {
		return func(r *testReport, io streams) error {
			r.failures(io.err, terminal.For(io.err))
			return encode(io.out, r)
		}
	}
	switch format {
	case "table":
		return func(r *testReport, io streams) error { return writeTable(io.out, terminal.For(io.out), r) }, nil
	case "junit":
		return beside(writeJUnit), nil
	case "json":
		return beside(writeTestJSON), nil
	}
	return nil, fmt.Errorf("--output %q: the formats are table, junit and json", format)
}
