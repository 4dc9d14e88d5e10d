package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/policy/z2jh"
)

func newImportZ2JH(io streams) *cobra.Command {
	var flags importFlags
	var release, version string
	cmd := &cobra.Command{
		Use:   "z2jh -f values.yaml",
		Short: "Make a policy of Zero-to-JupyterHub values",
		Long: `Makes a SpawnPolicy of values of the Zero-to-JupyterHub Helm chart, laid over the chart's own defaults as Helm does. The chart's service
account of the hub may launch servers, and the hub's environment is let through. Values of a chart that has this one as its
subchart are read from under jupyterhub.`,
		Example: `  slipway import z2jh -f values.yaml -f production.yaml --release hub --chart-version 4.4.0 > policy.yaml
  helm get values hub --output yaml | slipway import z2jh -f - --release hub`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			documents, err := flags.read(io)
			if err != nil {
				return err
			}
			values, names := make([][]byte, len(documents)), make([]string, len(documents))
			for i, d := range documents {
				values[i], names[i] = d.data, d.name
			}
			imported, err := z2jh.ImportAll(values, names, z2jh.Options{
				Name: flags.name, Namespace: flags.namespace, Hub: flags.hub, Release: release, ChartVersion: version,
				Evident: flags.evident, AllowedGroups: flags.allowedGroups,
			})
			if err != nil {
				return invalid(err)
			}
			return flags.write(imported, "Imported from Zero-to-JupyterHub values: "+baseNames(names)+".", io)
		},
	}
	cmd.Flags().StringArrayVarP(&flags.files, "filename", "f", nil, "values `file`, or - for standard input; may be repeated, later ones win as with helm")
	cmd.Flags().StringVar(&release, "release", "", "`name` of the Helm release: labels, scheduler and priority class are called after it")
	cmd.Flags().StringVar(&version, "chart-version", "", "`version` of the chart, such as 3.3.8 or 4.4.0 (default: the newest rules, without a tag for the chart's own images)")
	flags.register(cmd)
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml")
	noFiles(cmd, "release", "chart-version")
	return cmd
}

func baseNames(names []string) string {
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = filepath.Base(n)
	}
	return strings.Join(short, ", ")
}
