package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// completionTime is how long somebody who pressed Tab waits for a cluster.
const completionTime = 3 * time.Second

// completer finds what a command line that isn't finished could go on with.
type completer struct {
	cmd *cobra.Command
	ctx context.Context //nolint:containedctx // it lives as long as one completion
}

func newCompleter(cmd *cobra.Command) (*completer, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	return &completer{cmd, ctx}, cancel
}

// flag is the value of a flag; empty where the command has none of that name.
func (c *completer) flag(name string) string {
	value, err := c.cmd.Flags().GetString(name)
	if err != nil {
		return ""
	}
	return value
}

// list is the values of a flag that may be repeated, each once: to complete a line, cobra parses it twice.
func (c *completer) list(flag string) []string {
	values, err := c.cmd.Flags().GetStringArray(flag)
	if err != nil {
		return nil
	}
	var once []string
	for _, v := range values {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	return once
}

// namespace is the one that the line names, else where the command would look.
func (c *completer) namespace() string {
	switch name := c.flag("namespace"); {
	case name != "":
		return name
	case len(c.list("filename")) > 0:
		return defaultNamespace
	}
	return namespaceOfContext()
}

// policies are those of the line's -f, else of the cluster; empty where they can't be read. Standard input isn't: nobody types there.
func (c *completer) policies() *policySet {
	var set *policySet
	var err error
	switch files := c.list("filename"); {
	case slices.Contains(files, "-"):
	case len(files) > 0:
		set, err = policyFiles(files).read(c.namespace(), nil)
	default:
		set, err = policiesOfCluster(c.ctx, c.namespace())
	}
	if err != nil || set == nil {
		return &policySet{compiled: policy.Compile(policy.Policies{})}
	}
	return set
}

// request is for the line's server; nil where the line doesn't say enough, or no server comes of it.
func (c *completer) request() *request {
	s := &subject{identity: policy.Identity{
		Hub: c.flag("hub"), User: c.flag("user"), Server: c.flag("server"), Groups: c.list("group"), Profile: c.flag("profile"),
	}}
	s.identity.Options, _ = keyValues("option", c.list("option"))
	s.namespace.Name = c.namespace()
	s.namespace.Labels, _ = keyValues("namespace-label", c.list("namespace-label"))
	r, err := s.request(c.policies())
	if err != nil || s.identity.User == "" || c.flag("namespace") == "" && len(r.place()) > 0 {
		return nil
	}
	if len(c.list("filename")) == 0 {
		if err := r.askCluster(c.ctx, true, true); err != nil {
			return nil
		}
	}
	return r
}

// offered are the profiles that the line's user may choose from; of a line that doesn't say enough, everybody's.
func (c *completer) offered() []policy.Offered {
	r := c.request()
	if r == nil {
		return c.policies().compiled.AllProfiles()
	}
	offered, _ := r.policies.Offered(r.input) // who is denied chooses nothing
	return offered
}

// fields are those that policy sets of the line's server.
func (c *completer) fields() []string {
	r := c.request()
	if r == nil {
		return nil
	}
	r.input.Provenance = true
	result, err := r.apply()
	if err != nil {
		return nil
	}
	fields := make([]string, len(result.Fields))
	for i := range result.Fields {
		fields[i] = result.Fields[i].Path
	}
	return fields
}

// chosen are the profiles that the line may mean: the one that it names, else those that are a default, else any.
func (c *completer) chosen() []policy.Offered {
	all := c.offered()
	slug := c.flag("profile")
	named := func(p policy.Offered) bool { return slug != "" && slug == p.Slug || slug == "" && p.Default }
	if slug == "" && !slices.ContainsFunc(all, named) {
		return all
	}
	return slices.DeleteFunc(all, func(p policy.Offered) bool { return !named(p) })
}

func (c *completer) profiles() []string {
	var offered []string
	for _, p := range c.offered() {
		offered = append(offered, described(p.Slug, p.DisplayName))
	}
	return offered
}

// specs are what the policies say.
func (c *completer) specs() []*v1alpha1.SpawnPolicySpec {
	set := c.policies()
	var specs []*v1alpha1.SpawnPolicySpec
	for i := range set.Cluster {
		specs = append(specs, &set.Cluster[i].Spec)
	}
	for i := range set.Namespaced {
		specs = append(specs, &set.Namespaced[i].Spec)
	}
	return specs
}

func (c *completer) hubs() []string {
	var hubs []string
	for _, s := range c.specs() {
		hubs = append(hubs, s.Hubs...)
		for i := range s.Launchers {
			hubs = append(hubs, s.Launchers[i].Hubs...)
		}
	}
	return hubs
}

// groups are those that policies name in full.
func (c *completer) groups() []string {
	var groups []string
	for _, s := range c.specs() {
		groups = slices.Concat(groups, s.Groups, slices.Collect(maps.Keys(s.GroupMap)))
		for i := range s.Profiles {
			groups = append(groups, s.Profiles[i].AllowedGroups...)
		}
		for i := range s.Launchers {
			groups = append(groups, s.Launchers[i].MayAssertGroups...)
		}
	}
	return slices.DeleteFunc(groups, func(g string) bool { return strings.Contains(g, "*") })
}

func (c *completer) launchers() []string {
	var accounts []string
	for _, s := range c.specs() {
		for i := range s.Launchers {
			account := s.Launchers[i].ServiceAccount
			accounts = append(accounts, account.Namespace+"/"+account.Name)
		}
	}
	return accounts
}

// namespaces are those of the cluster, or those that the policies of files name.
func (c *completer) namespaces() []string {
	if len(c.list("filename")) > 0 {
		return c.policies().named.UnsortedList()
	}
	return c.listed("NamespaceList", "", func(o *metav1.PartialObjectMetadata) string { return o.Name })
}

func (c *completer) pods() []string {
	return c.servers(func(o *metav1.PartialObjectMetadata) string { return o.Name })
}

func (c *completer) users() []string {
	return c.servers(func(o *metav1.PartialObjectMetadata) string { return o.Annotations[policy.AnnotationUsername] })
}

func (c *completer) serverNames() []string {
	return c.servers(func(o *metav1.PartialObjectMetadata) string {
		if user := c.flag("user"); user != "" && user != o.Annotations[policy.AnnotationUsername] {
			return ""
		}
		return o.Annotations[policy.AnnotationServername]
	})
}

// servers gives one thing of each server that the cluster has for the line's hub. With -f the cluster isn't asked.
func (c *completer) servers(of func(*metav1.PartialObjectMetadata) string) []string {
	if len(c.list("filename")) > 0 {
		return nil
	}
	hub := c.flag("hub")
	return c.listed("PodList", c.namespace(), func(o *metav1.PartialObjectMetadata) string {
		if label := o.Labels[policy.LabelHub]; label == "" || hub != "" && label != hub {
			return ""
		}
		return of(o)
	})
}

// listed gives one thing of each object; what is empty isn't offered.
func (c *completer) listed(kind, namespace string, of func(*metav1.PartialObjectMetadata) string) []string {
	cluster, err := clusterClient()
	if err != nil {
		return nil
	}
	var objects metav1.PartialObjectMetadataList
	objects.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	if err := cluster.List(c.ctx, &objects, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var offered []string
	for i := range objects.Items {
		if text := of(&objects.Items[i]); text != "" {
			offered = append(offered, text)
		}
	}
	return offered
}
