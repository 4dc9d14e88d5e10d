package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

type listFlags struct {
	namespace  string
	all        bool
	hub        string
	orphans    bool
	jupyterhub string
	output     string
}

func newList(io streams) *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List servers, or what is left of some",
		Long: `Lists the servers of hubs in a namespace: whose, their state, and why they aren't running.

With --orphans it lists what has no server: pods whose env Secret is missing, env Secrets whose pod is gone, and claims that no pod
uses (most of those are the homes of users who aren't logged in). With --jupyterhub, and a token in JUPYTERHUB_API_TOKEN that may list
users, also pods whose server that hub doesn't know. Of Secrets only names are read, never a value. Exit code 1 where a pod or a Secret
is orphaned.`,
		Example: `  slipway list --all-namespaces
  slipway list --namespace data101 --orphans --hub campus --jupyterhub https://hub.example.org`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.Context(), &flags, io)
		},
	}
	cmd.Flags().StringVarP(&flags.namespace, "namespace", "n", "", "`namespace` of the servers (default: that of the kubeconfig's context)")
	cmd.Flags().BoolVarP(&flags.all, "all-namespaces", "A", false, "in every namespace")
	cmd.Flags().StringVar(&flags.hub, "hub", "", "`hub` whose servers are listed (default: every hub's)")
	cmd.Flags().BoolVar(&flags.orphans, "orphans", false, "list what has no server instead")
	cmd.Flags().StringVar(&flags.jupyterhub, "jupyterhub", "", "`URL` of the hub, to ask which servers it knows; needs --hub and --orphans")
	cmd.Flags().StringVarP(&flags.output, "output", "o", "", "json for machines (default: a table)")
	return cmd
}

func list(ctx context.Context, flags *listFlags, io streams) error {
	if err := flags.check(); err != nil {
		return invalid(err)
	}
	if flags.all {
		flags.namespace = metav1.NamespaceAll
	} else if flags.namespace == "" {
		flags.namespace = namespaceOfContext()
	}
	config, err := clusterConfig()
	if err != nil {
		return err
	}
	client, clientErr := kubernetes.NewForConfig(config)
	secrets, metadataErr := metadata.NewForConfig(config)
	if err := errors.Join(clientErr, metadataErr); err != nil {
		return failed(fmt.Errorf("reach the cluster: %w", err))
	}
	pods, err := client.CoreV1().Pods(flags.namespace).List(ctx, metav1.ListOptions{LabelSelector: flags.selector()})
	if err != nil {
		return failed(fmt.Errorf("list pods: %w", err))
	}
	if !flags.orphans {
		return listServers(pods.Items, flags, io.out)
	}
	found, err := findOrphans(ctx, client, secrets, pods.Items, flags)
	if err != nil {
		return failed(err)
	}
	return listOrphans(found, flags, io)
}

func (f *listFlags) check() error {
	var problems []error
	if f.output != "" && f.output != "json" {
		problems = append(problems, fmt.Errorf("--output %q must be json, or left out", f.output))
	}
	if f.all && f.namespace != "" {
		problems = append(problems, errors.New("--namespace and --all-namespaces contradict each other: give one of them"))
	}
	if f.jupyterhub != "" && (!f.orphans || f.hub == "") {
		problems = append(problems, errors.New("--jupyterhub needs --orphans, and --hub to say which pods are that hub's"))
	}
	if f.jupyterhub != "" && os.Getenv(hubTokenVariable) == "" {
		problems = append(problems, fmt.Errorf("--jupyterhub needs a token of the hub in %s, with the scopes list:users and read:servers", hubTokenVariable))
	}
	return errors.Join(problems...)
}

func (f *listFlags) selector() string {
	if f.hub == "" {
		return policy.LabelHub
	}
	return policy.LabelHub + "=" + f.hub
}

// listedServer is a server in machine output.
type listedServer struct {
	Namespace string         `json:"namespace"`
	Pod       string         `json:"pod"`
	Hub       string         `json:"hub"`
	User      string         `json:"user"`
	Server    string         `json:"server,omitempty"`
	State     launcher.State `json:"state"`
	Message   string         `json:"message,omitempty"`
	URL       string         `json:"url,omitempty"`
	ExitCode  *int32         `json:"exitCode,omitempty"`
	Profile   string         `json:"profile,omitempty"`
	Created   time.Time      `json:"created"`
}

func listServers(pods []corev1.Pod, flags *listFlags, out io.Writer) error {
	servers := make([]listedServer, 0, len(pods))
	for i := range pods {
		s := launcher.ServerOf(&pods[i])
		servers = append(servers, listedServer{
			s.Namespace, s.Pod, s.Hub, s.User, s.Name, s.State, s.Message, s.URL, s.ExitCode, s.Profile, s.Created,
		})
	}
	slices.SortFunc(servers, func(a, b listedServer) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Hub, b.Hub), cmp.Compare(a.User, b.User), cmp.Compare(a.Server, b.Server))
	})
	if flags.output == "json" {
		return asListJSON(out, servers)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tHUB\tUSER\tSERVER\tSTATE\tAGE\tPOD\tWHY")
	for _, s := range servers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			s.Namespace, s.Hub, s.User, s.Server, s.State, duration.HumanDuration(time.Since(s.Created)), s.Pod, terminal.Plain(s.Message))
	}
	return flushed(t)
}

func listOrphans(found []orphan, flags *listFlags, io streams) error {
	if flags.output == "json" {
		if err := asListJSON(io.out, found); err != nil {
			return err
		}
	} else if len(found) > 0 {
		t := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAMESPACE\tKIND\tNAME\tUSER\tWHY")
		for _, o := range found {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.Namespace, o.Kind, o.Name, o.User, o.Why)
		}
		if err := flushed(t); err != nil {
			return err
		}
	}
	// A home of somebody who isn't logged in is as it should be.
	stray := slices.ContainsFunc(found, func(o orphan) bool { return o.Kind != kindClaim })
	if stray {
		return &failure{code: exitDenied, err: errors.New("some pods or Secrets have no server: delete them, or stop and start the servers")}
	}
	return nil
}

func asListJSON(out io.Writer, list any) error {
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return failed(err)
	}
	fmt.Fprintln(out, string(text))
	return nil
}

func flushed(t *tabwriter.Writer) error {
	if err := t.Flush(); err != nil {
		return failed(fmt.Errorf("write the table: %w", err))
	}
	return nil
}
