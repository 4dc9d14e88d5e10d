package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/launcher/api"
)

// version is set by the Makefile; a plain go build says unknown.
var version = "unknown"

type options struct {
	metricsBindAddress     string
	healthProbeBindAddress string
	drainDelay             time.Duration
	drainTimeout           time.Duration

	namespaces     []string
	userNamespaces bool
	podLogs        bool
	hopeless       []string

	socket string
	hubs   []string

	bindAddress string
	tlsCertDir  string
	accounts    []string
}

func newCommand() *cobra.Command {
	var o options
	cmd := server.Command("slipway-launcher", "Creates, watches and stops the pods of hubs", version,
		func(ctx context.Context, cluster *rest.Config, log logr.Logger) error {
			return run(ctx, cluster, log, &o)
		})
	cmd.PreRunE = func(*cobra.Command, []string) error { return server.Usage(o.check()) }
	flags := cmd.Flags()
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", ":8080", "`host:port` of /metrics; 0: none")
	flags.StringVar(&o.healthProbeBindAddress, "health-probe-bind-address", ":8081", "`host:port` of /healthz and /readyz; 0: none")
	flags.DurationVar(&o.drainDelay, "drain-delay", 5*time.Second, "how `long` to go on, not ready any more, after being told to stop")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 10*time.Second, "how `long` requests may take to end after that")

	flags.StringSliceVar(&o.namespaces, "namespace", nil, "`namespace` to start servers in; repeatable; none: every namespace")
	flags.BoolVar(&o.userNamespaces, "user-namespaces", false, "make the namespace that policy gives a user where it doesn't exist")
	flags.BoolVar(&o.podLogs, "pod-logs", false, "tell the last lines of a container's log where it failed")
	flags.StringSliceVar(&o.hopeless, "hopeless", nil, "`reason` of Kubernetes for which a start fails at once; repeatable; none: the built-in list")

	flags.StringVar(&o.socket, "socket", "", "`path` of a unix socket to serve the hubs on that --hub names")
	flags.StringSliceVar(&o.hubs, "hub", nil, "`name` of a hub that whoever can open the socket speaks for; repeatable")
	flags.StringVar(&o.bindAddress, "bind-address", "", "`host:port` to serve on by TLS, to the accounts that --account names")
	flags.StringVar(&o.tlsCertDir, "tls-cert-dir", "", "`folder` with tls.crt and tls.key; changes are noticed")
	// An array: a value has commas.
	flags.StringArrayVar(&o.accounts, "account", nil, "service account and the hubs that it speaks for, `NAMESPACE/NAME=HUB[,HUB]`; repeatable")
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newOpenAPICommand())
	return cmd
}

// newOpenAPICommand prints what /openapi.yaml serves.
func newOpenAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Prints the OpenAPI description of the launcher's API, as YAML",
		Args:  func(cmd *cobra.Command, args []string) error { return server.Usage(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := api.New(api.Options{}).YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

// check gives all that is wrong with the flags.
func (o *options) check() error {
	var wrong []error
	if o.socket == "" && o.bindAddress == "" {
		wrong = append(wrong, errors.New("give --socket with --hub, or --bind-address with --tls-cert-dir and --account: there is no other way in"))
	}
	if (o.socket == "") != (len(o.hubs) == 0) {
		wrong = append(wrong, errors.New("--socket and --hub go together: whoever can open the socket speaks for these hubs"))
	}
	if (o.bindAddress == "") != (o.tlsCertDir == "") || (o.bindAddress == "") != (len(o.accounts) == 0) {
		wrong = append(wrong, errors.New("--bind-address, --tls-cert-dir and --account go together: the address is served by TLS, to these accounts"))
	}
	for _, hub := range o.hubs {
		wrong = append(wrong, checkHub("--hub", hub))
	}
	_, err := o.hubsOfAccounts()
	return errors.Join(append(wrong, err)...)
}

// hubsOfAccounts gives the hubs that each NAMESPACE/NAME speaks for.
func (o *options) hubsOfAccounts() (map[string][]string, error) {
	hubs := map[string][]string{}
	var wrong []error
	for _, value := range o.accounts {
		account, of, _ := strings.Cut(value, "=")
		namespace, name, _ := strings.Cut(account, "/")
		if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 || of == "" {
			wrong = append(wrong, fmt.Errorf("--account %q must be NAMESPACE/NAME=HUB[,HUB]", value))
			continue
		}
		for hub := range strings.SplitSeq(of, ",") {
			wrong = append(wrong, checkHub("--account", hub))
			hubs[account] = append(hubs[account], hub)
		}
	}
	return hubs, errors.Join(wrong...)
}

// checkHub is for names of hubs, which are labels of pods.
func checkHub(flag, hub string) error {
	if hub == "" {
		return fmt.Errorf("%s names a hub with an empty name", flag)
	}
	if says := validation.IsValidLabelValue(hub); len(says) > 0 {
		return fmt.Errorf("%s: hub %q can't be the value of a label: %s", flag, hub, says[0])
	}
	return nil
}

// allHubs are those that somebody speaks for, each once.
func (o *options) allHubs() []string {
	all := slices.Clone(o.hubs)
	accounts, _ := o.hubsOfAccounts() // check has told
	for hubs := range maps.Values(accounts) {
		all = append(all, hubs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
