package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/launcher/jupyterhub"
	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// loaderInvalid is the exit code of the Python module where the configuration is at fault.
const loaderInvalid = 2

func newImportKubeSpawner(io streams) *cobra.Command {
	var flags importFlags
	var python, account string
	cmd := &cobra.Command{
		Use:   "kubespawner -f jupyterhub_config.py",
		Short: "Make a policy of a JupyterHub configuration",
		Long: `Makes a SpawnPolicy of a jupyterhub_config.py. The file is loaded as JupyterHub loads it, by a Python that has jupyterhub and
jupyterhub-kubespawner, so any Python in it works. It runs with your rights: give it only files that you trust. A Python
function can't run in a cluster; each is reported, with the draft of a CEL expression where it is plain.`,
		Example: `  slipway import kubespawner -f jupyterhub_config.py > policy.yaml
  slipway import kubespawner -f jupyterhub_config.py --python venv/bin/python --strict`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(flags.files) != 1 || flags.files[0] == "-" {
				return invalid(errors.New("one -f FILE is needed: a configuration may refer to files beside it"))
			}
			traits, err := loadTraits(cmd.Context(), python, flags.files[0], io)
			if err != nil {
				return err
			}
			if own, ok := traits["namespace"].(string); ok && own != "" && !cmd.Flags().Changed("namespace") {
				flags.namespace = own
			}
			imported, err := kubespawner.Import(traits, kubespawner.Options{
				Name: flags.name, Namespace: flags.namespace, Hub: flags.hub, Evident: flags.evident, AllowedGroups: flags.allowedGroups,
				Launcher: v1alpha1.ServiceAccountRef{Namespace: flags.namespace, Name: account},
			})
			if err != nil {
				return invalid(inFile(err, flags.files[0]))
			}
			return flags.write(imported, "Imported from a JupyterHub configuration: "+filepath.Base(flags.files[0])+".", io)
		},
	}
	cmd.Flags().StringArrayVarP(&flags.files, "filename", "f", nil, "the configuration `file`")
	cmd.Flags().StringVar(&python, "python", "", "the `interpreter` that has jupyterhub and jupyterhub-kubespawner (default: $SLIPWAY_PYTHON, or python3)")
	cmd.Flags().StringVar(&account, "service-account", "hub", "`name` of the account that creates the servers' pods, in the same namespace")
	flags.register(cmd)
	_ = cmd.MarkFlagFilename("filename", "py")
	noFiles(cmd, "service-account")
	return cmd
}

// loadTraits has Python load the configuration, and gives the traits of its spawner.
func loadTraits(ctx context.Context, python, file string, io streams) (map[string]any, error) {
	if python == "" {
		python = os.Getenv("SLIPWAY_PYTHON")
	}
	if python == "" {
		python = "python3"
	}
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(ctx, python, "-c", jupyterhub.TraitsModule, file) //nolint:gosec // the interpreter and the file are the user's own choice
	cmd.Stdout, cmd.Stderr = &out, &messages
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() == loaderInvalid:
		return nil, invalid(errors.New(strings.TrimSpace(messages.String())))
	case errors.As(err, &exit):
		return nil, failed(fmt.Errorf("load %s: %s", file, strings.TrimSpace(messages.String())))
	default:
		return nil, failed(fmt.Errorf("load %s: %w; name a Python with --python", file, err))
	}
	fmt.Fprint(io.err, messages.String()) // what the configuration itself printed
	var answer struct {
		Traits kubespawner.Object `json:"traits"`
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return nil, failed(fmt.Errorf("load %s: read the traits: %w", file, err))
	}
	traits := map[string]any{}
	for _, m := range answer.Traits {
		traits[m.Key] = m.Value
	}
	return traits, nil
}

// inFile says which file each problem is in.
func inFile(err error, file string) error {
	problems := kubespawner.Problems(err)
	if len(problems) == 0 {
		return err
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		p.Source = file
		all[i] = p
	}
	return errors.Join(all...)
}
