package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// newSelfTest is what `helm test` runs.
func newSelfTest() *cobra.Command {
	var (
		namespace string
		id        policy.Identity
		timeout   time.Duration
	)
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Ask for a server that isn't stored, and see that the webhook answers",
		Long: `Asks the API server for a server, as a dry run, which stores nothing. It is well if the server is fitted out, and as well if policy
refuses it: then the webhook answers too. It isn't if the API server can't reach the webhook, or holds back hubs' pods itself.`,
		Args: func(cmd *cobra.Command, args []string) error { return server.Usage(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("find the API server (use --kubeconfig outside a cluster): %w", err)
			}
			client, err := kubernetes.NewForConfig(cluster)
			if err != nil {
				return fmt.Errorf("reach the API server: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			id.Name = "jupyter-" + policy.LabelSlug(id.User)
			return selfTest(ctx, client, id, namespace, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&namespace, "namespace", os.Getenv("POD_NAMESPACE"), "`namespace` of the server (default: $POD_NAMESPACE)")
	flags.StringVar(&id.Hub, "hub", "slipway-test", "`name` of the hub that asks")
	flags.StringVar(&id.User, "user", "slipway-test", "`name` of the user")
	flags.DurationVar(&timeout, "timeout", time.Minute, "how `long` to wait for an answer")
	return cmd
}

// selfTest asks until somebody answers for Slipway, and says what the answer means.
func selfTest(ctx context.Context, client kubernetes.Interface, id policy.Identity, namespace string, out io.Writer) error {
	return retry(ctx, out, func() error {
		pod, err := launcher.Launch(ctx, client, id, namespace, launcher.Options{DryRun: true})
		denied, isDenial := errors.AsType[*launcher.Denied](err)
		switch {
		case err == nil:
			fmt.Fprintf(out, "The webhook answers: server %s/%s is fitted out, by %s.\n", namespace, pod.Name, pod.Annotations[policy.AnnotationApplied])
			return nil
		case !isDenial || denied.Retryable():
			return err
		case slices.Contains(denied.Codes(), policy.NotGoverned):
			return final{err}
		case slices.Contains(denied.Codes(), policy.NoPolicy):
			fmt.Fprintf(out, "The webhook answers: no policy matches yet. %s\n", denied)
			return nil
		}
		fmt.Fprintf(out, "The webhook answers: policy refuses this server. %s\n", denied)
		return nil
	})
}
