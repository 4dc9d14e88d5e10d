package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

const testHelp = `Runs the policy tests of files and folders (default: the current one, with the folders in it): the files that end in
_test.yaml. Folders in them that are hidden or named testdata are left out, unless they are named themselves. Each test names a
user and what policy has to make of that user's server. Policies are judged as the cluster judges them, and nothing but files is
read. What names no test fails: a folder without a test file, a file without a test, a --run that matches none.

  policies: [course.yaml]            # files or folders, relative to this file, as with -f
  tests:
  - name: students get the course's image
    namespace: {name: data101, labels: {tier: teaching}}    # default: where policy has the server, else default
    identity: {hub: campus, user: alice, server: "", userId: 7, groups: [data101], profile: "", options: {image: r},
      userAnnotations: {uid: "1001"}, env: {JUPYTERHUB_USER: alice}}
    launcher: jupyter/hub            # default: one that policy lists
    pod: kubespawner-pod.yaml        # the pod that is sent; default: a bare skeleton
    claims: [claims.yaml]            # claims that exist
    expect:                          # at least one of these
      pod: {spec: {containers: [{name: notebook, image: "r:1"}]}}
      exactPod: alice.yaml           # the whole pod, as slipway render prints it; --update writes it
      absent: ["spec.containers[notebook].env[DEBUG]"]
      claim: {spec: {resources: {requests: {storage: 5Gi}}}}
      noClaim: true
      denied: [{code: ConstraintViolated, field: "spec.containers[notebook].image", message: part of it}]
      warnings: [part of one]

pod and claim are parts: maps may have more, and so may lists whose items Kubernetes knows by a name (containers, variables,
volumes, mounts by their path, ports by their number). Other lists, such as args and tolerations, are wholes, and an empty
list is none. Of what is denied, each entry has to fit a denial, and each denial an entry.`

func newTest(io streams) *cobra.Command {
	var matching, output string
	var update, watch bool
	cmd := &cobra.Command{
		Use:   "test [FILE|FOLDER]...",
		Short: "Test policies: which pod a user gets, and who is denied",
		Long:  testHelp,
		Example: `  slipway test policies/
  slipway test --watch policies/
  slipway test --run 'students' --update policies/course_test.yaml
  slipway test -o junit policies/ > report.xml`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return filesOfPolicies, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			write, err := testWriter(output)
			pattern, patternErr := regexp.Compile(matching)
			if patternErr != nil {
				err = errors.Join(err, fmt.Errorf("--run %q: %w", matching, patternErr))
			}
			if watch && output != "table" {
				err = errors.Join(err, fmt.Errorf("--watch writes a table after each change, and no %s", output))
			}
			if err != nil {
				return invalid(err)
			}
			run := func() error { return runTests(args, testOptions{pattern, update}, write, io) }
			if watch {
				return watchTests(cmd.Context(), args, run, io.err)
			}
			return run()
		},
	}
	cmd.Flags().StringVar(&matching, "run", "", "run only the tests whose name matches this `regexp`")
	formatFlag(cmd, &output, "table", "junit", "json")
	cmd.Flags().BoolVar(&update, "update", false, "write the fitted pods into the exactPod files that lack them; say which")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "run the tests again whenever a file of theirs changes, until Ctrl-C")
	noFiles(cmd, "run")
	cmd.MarkFlagsMutuallyExclusive("update", "watch") // a change must be looked at before it is expected
	return cmd
}
