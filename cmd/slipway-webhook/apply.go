package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// newApply is what the chart's Job for starter policies runs: no image with kubectl is needed for it.
func newApply() *cobra.Command {
	var (
		file    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "apply --filename FILE",
		Short: "Apply the policies of a file as soon as the webhook judges policies",
		Args:  func(cmd *cobra.Command, args []string) error { return server.Usage(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return server.Usage(err)
			}
			policies, err := objectsIn(text)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			cluster, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("find the API server (use --kubeconfig outside a cluster): %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return apply(ctx, policies, cmd.OutOrStdout(), func(o *unstructured.Unstructured) error {
				// Made anew each time: that, too, may take a while.
				c, err := client.New(cluster, client.Options{})
				if err != nil {
					return err
				}
				return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("slipway-starter-policies"), client.ForceOwnership)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "filename", "", "`file` with policies in YAML")
	flags.DurationVar(&timeout, "timeout", 3*time.Minute, "how `long` to wait until they are applied")
	return cmd
}

// apply applies one after the other by put, each until it is accepted. A policy that is wrong isn't tried again.
func apply(ctx context.Context, policies []*unstructured.Unstructured, out io.Writer, put func(*unstructured.Unstructured) error) error {
	for _, o := range policies {
		err := retry(ctx, out, func() error {
			err := launcher.Explain(put(o.DeepCopy()))
			denied, isDenial := errors.AsType[*launcher.Denied](err)
			if isDenial && !denied.Retryable() || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
				return final{err}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		fmt.Fprintf(out, "%s %s is applied.\n", o.GetKind(), o.GetName())
	}
	return nil
}

func objectsIn(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := policy.Documents(text)
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &o.Object); err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
