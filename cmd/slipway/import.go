package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// importFlags are what both kinds of import share.
type importFlags struct {
	files                  []string
	name, namespace, hub   string
	strict                 bool
	evident, allowedGroups bool
	users                  string
}

func newImport(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Make a policy of what a hub has now",
		Long: `Makes a SpawnPolicy of the configuration of a JupyterHub that uses KubeSpawner, and prints it on standard output. What has no
place in a policy, and what doesn't do what it seems to, is listed on standard error with its path, why, and what to do.`,
		Example: `  slipway import z2jh -f values.yaml > policy.yaml
  slipway import kubespawner -f jupyterhub_config.py > policy.yaml`,
		Args: oneOfTheCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return whichCommand(cmd, io) },
	}
	cmd.AddCommand(newImportZ2JH(io), newImportKubeSpawner(io))
	return cmd
}

func (f *importFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", "jhub", "`namespace` of the hub and its servers")
	flags.StringVar(&f.hub, "hub", "main", "the hub's `name`, the value of the label slipway.dev/hub; \"\": any")
	flags.StringVar(&f.name, "name", "imported", "the policy's `name`")
	flags.BoolVar(&f.strict, "strict", false, "exit 1 if a setting couldn't be mapped")
	flags.BoolVar(&f.evident, "evident", false, "take what KubeSpawner refuses but is plainly meant: memory as 1Gi, numbers in the environment")
	flags.BoolVar(&f.allowedGroups, "allowed-groups", false, "have the cluster enforce allowed_groups and allowed_users of profiles, which KubeSpawner ignores")
	flags.StringVar(&f.users, "users", "", "`file` of user names, one a line: list those whose pod, claim or paths had another name under the escape scheme (before KubeSpawner 7)")
	noFiles(cmd, "namespace", "hub", "name")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// write prints the policy and reports the findings. Nothing is printed before everything is known to be good.
func (f *importFlags) write(imported *kubespawner.Imported, head string, io streams) error {
	text, err := policyYAML(imported, head)
	if err != nil {
		return failed(err)
	}
	var changes []string
	if f.users != "" {
		if changes, err = f.changedNames(imported.Policy); err != nil {
			return err
		}
	}
	denied, err := f.deniedByThePolicy(imported.Policy)
	if err != nil {
		return err
	}
	findings := slices.Concat(imported.Findings, denied)
	if _, err := io.out.Write(text); err != nil {
		return failed(fmt.Errorf("write the policy: %w", err))
	}
	unmapped := 0
	for _, kind := range []kubespawner.Kind{kubespawner.Unmapped, kubespawner.Warning, kubespawner.Note} {
		for _, finding := range findings {
			if finding.Kind != kind {
				continue
			}
			if kind == kubespawner.Unmapped {
				unmapped++
			}
			fmt.Fprintln(io.err, finding)
		}
	}
	for _, line := range changes {
		fmt.Fprintln(io.err, line)
	}
	if f.strict && unmapped > 0 {
		return &failure{code: exitDenied, err: fmt.Errorf("%d setting(s) couldn't be mapped, and --strict was asked for", unmapped)}
	}
	return nil
}

// deniedByThePolicy tries a server of each profile, and warns of what makes the policy deny them all: the source may say what no
// policy takes, or this version doesn't yet.
func (f *importFlags) deniedByThePolicy(imported *v1alpha1.SpawnPolicy) ([]kubespawner.Finding, error) {
	tried := namer{imported, f.hub}.compile()
	var findings []kubespawner.Finding
	for _, profile := range append([]v1alpha1.Profile{{}}, imported.Spec.Profiles...) {
		result, err := tried.apply(policy.Identity{User: "user", Profile: profile.Slug})
		if err != nil {
			return nil, failed(err)
		}
		for _, d := range result.Denials {
			if d.Code != policy.PolicyInvalid {
				continue
			}
			finding := kubespawner.Finding{Kind: kubespawner.Warning, Path: "in the policy, " + d.Field, Why: d.Message, Do: "change it there: until then it denies every server"}
			if !slices.Contains(findings, finding) {
				findings = append(findings, finding)
			}
		}
	}
	return findings, nil
}

// read gives the content of the files of -f, in their order.
func (f *importFlags) read(io streams) ([]document, error) {
	if len(f.files) == 0 {
		return nil, invalid(errors.New("-f FILE is needed"))
	}
	var all []document
	var problems []error
	for _, name := range f.files {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			problems = append(problems, fmt.Errorf("%s: is a folder: name the values files in their order", name))
			continue
		}
		documents, err := documentsOf(name, io.in)
		if err != nil {
			problems = append(problems, err)
		}
		all = append(all, documents...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, invalid(err)
	}
	return all, nil
}
