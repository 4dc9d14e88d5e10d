package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/cmd/slipway/check"
)

func newCheck(io streams) *cobra.Command {
	var namespace, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the installation in the cluster, and how to mend it",
		Long: `Looks at the installation in the cluster of the current kubeconfig: CRDs, webhook configurations, certificates, replicas,
whether the webhooks answer, admission policies, the rights of launchers and of the webhook, policies, namespaces and pods.
It goes on whatever it finds, and changes nothing: what it creates is a dry run.

A finding is ok, a note, a warning, wrong, or unseen where you have no right to look. Exit codes: 0 nothing is wrong; 1 something
is; 2 wrong usage; 3 nothing seen is wrong, but not everything could be seen, or the cluster can't be reached.`,
		Example: `  slipway check
  slipway check -o json | jq '.findings[] | select(.severity == "wrong")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := checkWriter(output)
			if err != nil {
				return invalid(err)
			}
			config, err := kubeconfig().ClientConfig()
			if err != nil {
				return failed(fmt.Errorf("find the cluster: %w", err))
			}
			report, err := check.Run(cmd.Context(), check.Options{Config: config, Namespace: namespace, Version: version})
			if err != nil {
				return failed(err)
			}
			if err := write(io.out, report); err != nil {
				return failed(fmt.Errorf("write the report: %w", err))
			}
			return checked(report)
		},
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "`namespace` of the installation (default: the one that its webhook configurations call)")
	formatFlag(cmd, &output, "table", "json")
	return cmd
}

// checkWriter is the function that writes a report in a format.
func checkWriter(format string) (func(io.Writer, *check.Report) error, error) {
	switch format {
	case "table":
		return check.WriteTable, nil
	case "json":
		return func(w io.Writer, r *check.Report) error { return writeEncoded(w, encodeJSON, r) }, nil
	}
	return nil, fmt.Errorf("--output %q: the formats are table and json", format)
}

// checked is how the command ends; the report has said why.
func checked(r *check.Report) error {
	switch {
	case r.Count(check.Wrong) > 0:
		return &failure{code: exitDenied}
	case r.Count(check.Unseen) > 0:
		return &failure{code: exitFailed}
	}
	return nil
}
