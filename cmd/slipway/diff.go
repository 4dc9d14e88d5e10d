package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/policy"
)

// diffFlags say which servers are compared, and by which policies.
type diffFlags struct {
	files, against policyFiles
	pods, tests    []string
	namespace      string
	everywhere     bool
	hub, user      string
}

func newDiff(io streams) *cobra.Command {
	var f diffFlags
	var output string
	cmd := &cobra.Command{
		Use:   "diff [-f POLICIES]... [--against POLICIES]... [--pods FILE]... [--tests FILE]...",
		Short: "Say what policy would change about the servers that run",
		Long: `Compares the running pods of hubs with those that policy would make of them now, field by field; with -f, with those that the
policies of files would make, before they are applied. A running pod stays as it is: what differs comes with the server's next start.
Servers that change in the same way are one group. Which would be denied is said too, with the reasons. What the API server, its
admission and the nodes add is no difference; what somebody changed on a pod since is one.

--against compares what two sets of policies make of the same servers instead: those of --against as before, and those of -f, or of
the cluster, as after. What has changed on the pods since doesn't count then.

The pods are those of the cluster, or of --pods: what kubectl get pods,pvc,namespaces -o yaml prints. Of namespaces and claims that
aren't in it, nothing but the name is known. With --tests, the servers are those of policy tests, and need --against.

Values of environment variables, arguments and hooks aren't printed. As markdown, the output is a comment for a pull request.
Exit codes: 0 no difference; 1 a difference; 2 wrong usage or invalid input; 3 could not be done.`,
		Example: `  slipway diff -n data101                              # running pods and the policies of now
  slipway diff -A -f policies/                         # what would change for whom if these were applied
  kubectl get pods,pvc,namespaces -A -o yaml | slipway diff --pods - -f policies/ -o markdown
  slipway diff --tests policies/ --against old/ -f policies/ -o markdown`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := diffWriter(output)
			if err != nil {
				return invalid(err)
			}
			if err := f.check(); err != nil {
				return invalid(err)
			}
			if f.namespace == "" && !f.everywhere && len(f.pods)+len(f.tests) == 0 {
				f.namespace = namespaceOfContext()
			}
			return diff(cmd.Context(), &f, write, io)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP((*[]string)(&f.files), "filename", "f", nil, "policies after: a `file`, a folder, or - for standard input; repeatable (default: those of the cluster)")
	flags.StringArrayVar((*[]string)(&f.against), "against", nil, "policies before: a `file` or a folder; repeatable (default: the pods as they are)")
	flags.StringArrayVar(&f.pods, "pods", nil, "pods instead of those of the cluster: a `file`, a folder, or - for standard input; repeatable")
	flags.StringArrayVar(&f.tests, "tests", nil, "`file` or folder of policy tests, whose servers are compared; repeatable")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "`namespace` of the servers (default: that of the kubeconfig's context; all of a file)")
	flags.BoolVarP(&f.everywhere, "all-namespaces", "A", false, "servers of every namespace")
	flags.StringVar(&f.hub, "hub", "", "servers of this `hub` alone")
	flags.StringVar(&f.user, "user", "", "servers of the user of this `name` alone")
	formatFlag(cmd, &output, "table", "markdown", "json")
	for _, name := range []string{"against", "pods", "tests"} {
		_ = cmd.MarkFlagFilename(name, filesOfPolicies...)
	}
	return cmd
}

// check finds flags that don't go together.
func (f *diffFlags) check() error {
	var problems []error
	if f.everywhere && f.namespace != "" {
		problems = append(problems, errors.New("--all-namespaces and --namespace say different things: leave one out"))
	}
	if len(f.tests) > 0 && len(f.against) == 0 {
		problems = append(problems, errors.New("--tests needs --against: a test's server doesn't run, so it is told what it was before"))
	}
	fromStdin := slices.DeleteFunc(slices.Concat(f.files, f.against, f.pods), func(name string) bool { return name != "-" })
	if len(fromStdin) > 1 {
		problems = append(problems, errors.New("standard input can be read once: name a file in the place of all but one -"))
	}
	if len(f.tests) > 0 && len(f.pods) > 0 {
		problems = append(problems, errors.New("--tests and --pods both say which servers are compared: leave one out"))
	}
	if len(f.tests) > 0 && len(f.files) == 0 {
		problems = append(problems, errors.New("--tests needs -f: the policies that the tests' servers are fitted by afterwards"))
	}
	return errors.Join(problems...)
}

// diff compares all servers, and writes what is different about whom.
func diff(ctx context.Context, f *diffFlags, write func(io.Writer, *diffReport) error, io streams) error {
	servers, err := f.servers(ctx, io.in)
	if err != nil {
		return err
	}
	after, err := policiesOf(ctx, f.files, f.namespace, io.in)
	if err != nil {
		return err
	}
	var before *policySource
	if len(f.against) > 0 {
		if before, err = policiesOf(ctx, f.against, f.namespace, io.in); err != nil {
			return err
		}
	}
	report := diffReport{Servers: len(servers), proposed: len(f.files) > 0}
	for i := range servers {
		c, err := compareServer(&servers[i], before, after)
		if err != nil {
			return fmt.Errorf("%s: %w", servers[i].name(), err)
		}
		report.add(c)
	}
	if err := report.blame(after); err != nil {
		return err
	}
	if err := write(io.out, &report); err != nil {
		return failed(fmt.Errorf("write the report: %w", err))
	}
	if len(report.Groups) > 0 {
		return &failure{code: exitDenied} // the report says why
	}
	return nil
}

// policySource gives the policies for the servers of a namespace.
type policySource struct {
	set   *policySet // where one is for all namespaces
	files policyFiles
	stdin []byte
	of    map[string]*policySet
}

// policiesOf reads the policies of files, or those of the cluster that could be for a namespace, "" for all, and refuses those of files
// that admission would. Those of files that name no namespace are for each that is asked about.
func policiesOf(ctx context.Context, files policyFiles, namespace string, in io.Reader) (*policySource, error) {
	if len(files) == 0 {
		set, err := policiesOfCluster(ctx, namespace)
		return &policySource{set: set}, err
	}
	var stdin []byte
	if slices.Contains(files, "-") { // it may be needed for several namespaces
		var err error
		if stdin, err = io.ReadAll(in); err != nil {
			return nil, failed(fmt.Errorf("read standard input: %w", err))
		}
	}
	set, err := files.load(ctx, policy.Namespace{Name: defaultNamespace}, bytes.NewReader(stdin))
	if err != nil {
		return nil, err
	}
	if !set.placed {
		return &policySource{set: set}, nil
	}
	return &policySource{files: files, stdin: stdin, of: map[string]*policySet{defaultNamespace: set}}, nil
}

// forNamespace gives the policies as they are for servers of a namespace.
func (s *policySource) forNamespace(namespace string) (*policySet, error) {
	if s.set != nil {
		return s.set, nil
	}
	if set := s.of[namespace]; set != nil {
		return set, nil
	}
	set, err := s.files.read(namespace, bytes.NewReader(s.stdin))
	if err != nil {
		return nil, err
	}
	s.of[namespace] = set
	return set, nil
}

// apply fits a server.
func (s *policySource) apply(server *diffServer, provenance bool) (*policy.Result, error) {
	set, err := s.forNamespace(server.input.Namespace.Name)
	if err != nil {
		return nil, err
	}
	r := request{policies: set.compiled, unreadable: set.unreadable, input: server.input}
	if r.input.Identity.Hub == "" {
		if r.input.Identity.Hub, err = set.onlyHub(); err != nil {
			return nil, invalid(fmt.Errorf("identity.hub: is needed: %w", err))
		}
	}
	if server.placed {
		if denials := r.place(); len(denials) > 0 {
			return &policy.Result{Denials: denials}, nil
		}
	}
	r.input.Provenance = provenance
	if r.input.Sent == nil {
		if err := r.hideEnv(); err != nil {
			return nil, err
		}
	}
	result, err := r.apply()
	if result == nil {
		return nil, err
	}
	return result, nil // a denial is a result
}
