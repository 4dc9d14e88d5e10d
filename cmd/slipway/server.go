package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// defaultNamespace is where a server goes that nobody says more of.
const defaultNamespace = "default"

// serverFlags say which server of which user is meant. All commands about one server have them.
type serverFlags struct {
	namespace       string
	hasNamespace    bool
	hub             string
	user            string
	server          string
	userID          int64
	hasUserID       bool
	groups          []string
	profile         string
	options         []string
	env             []string
	userAnnotations []string
}

// register adds the flags. Lists aren't split at commas, since groups and values may hold some.
func (f *serverFlags) register(cmd *cobra.Command) {
	f.registerKey(cmd)
	flags := cmd.Flags()
	flags.Int64Var(&f.userID, "user-id", 0, "the hub's own `number` of the user, for {userid}")
	flags.StringArrayVar(&f.groups, "group", nil, "`group` of the user; repeatable")
	flags.StringVar(&f.profile, "profile", "", "`slug` of the profile (default: the policies' default)")
	flags.StringArrayVar(&f.options, "option", nil, "`option=choice` of the profile; repeatable")
	flags.StringArrayVar(&f.env, "env", nil, "environment variable that the hub gives, as `NAME=VALUE`; repeatable")
	flags.StringArrayVar(&f.userAnnotations, "user-annotation", nil, "fact about the user, as `key=value`; repeatable")
}

// registerKey adds the flags that say which server is meant, for commands about one that is there.
func (f *serverFlags) registerKey(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", "",
		"`namespace` of the server (default: the one that policy says, else that of the kubeconfig's context where the cluster is asked, else default)")
	flags.StringVar(&f.hub, "hub", "", "`hub` that starts the server (default: the only one that the policies name)")
	flags.StringVar(&f.user, "user", "", "`name` of the user")
	flags.StringVar(&f.server, "server", "", "`name` of the server (default: the user's default server)")
}

// complete notes which flags were given. asksCluster: the server is one of the cluster, as its policies or its pod are.
func (f *serverFlags) complete(cmd *cobra.Command, asksCluster bool) {
	f.hasNamespace = cmd.Flags().Changed("namespace")
	switch {
	case f.namespace != "":
	case asksCluster:
		f.namespace = namespaceOfContext()
	default:
		f.namespace = defaultNamespace
	}
	f.hasUserID = cmd.Flags().Changed("user-id")
}

// says: a flag describes the server, beside its namespace.
func (f *serverFlags) says() bool {
	return f.hub+f.user+f.server+f.profile != "" || f.hasUserID || len(f.groups)+len(f.options)+len(f.env)+len(f.userAnnotations) > 0
}

// identity is what the flags say about the server; over is what it is put over. Every bad flag is in the error.
func (f *serverFlags) identity(over policy.Identity) (policy.Identity, error) {
	id := policy.Identity{Hub: f.hub, User: f.user, Server: f.server, Groups: f.groups, Profile: f.profile}
	if f.hasUserID {
		id.UserID = &f.userID
	}
	var optionErr, annotationErr, envErr, userErr error
	id.Options, optionErr = keyValues("option", f.options)
	id.UserAnnotations, annotationErr = keyValues("user-annotation", f.userAnnotations)
	id.Env, envErr = keyValues("env", f.env)
	id = putOver(over, id)
	if id.User == "" {
		userErr = errors.New("--user is needed: the name of the user")
	}
	return id, errors.Join(optionErr, annotationErr, envErr, userErr)
}

// putOver puts what is said of a server over what its pod says of itself. What is empty says nothing.
func putOver(id, over policy.Identity) policy.Identity {
	id.Hub = cmp.Or(over.Hub, id.Hub)
	id.User = cmp.Or(over.User, id.User)
	id.Server = cmp.Or(over.Server, id.Server)
	id.Profile = cmp.Or(over.Profile, id.Profile)
	id.UserID = cmp.Or(over.UserID, id.UserID)
	if len(over.Groups) > 0 {
		id.Groups = over.Groups
	}
	pairs := func(over map[string]string, into *map[string]string) {
		if len(over) > 0 {
			*into = over
		}
	}
	pairs(over.Options, &id.Options)
	pairs(over.UserAnnotations, &id.UserAnnotations)
	pairs(over.Env, &id.Env)
	return id
}

// keyValues reads key=value pairs; a value may be empty and may hold further equals signs.
func keyValues(flag string, pairs []string) (map[string]string, error) {
	m := map[string]string{}
	var problems []error
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		_, twice := m[key]
		switch {
		case !ok || key == "":
			problems = append(problems, fmt.Errorf("--%s %q must be of the form key=value", flag, p))
		case twice:
			problems = append(problems, fmt.Errorf("--%s %s is given twice", flag, key))
		default:
			m[key] = value
		}
	}
	return m, errors.Join(problems...)
}

// inputFlags are the flags that stand for what the cluster would know by itself.
type inputFlags struct {
	files           policyFiles
	namespaceLabels []string
	launcher        string
	claims          []string
	pod             string
	inlineEnv       bool
}

func (f *inputFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP((*[]string)(&f.files), "filename", "f", nil,
		"policies: a `file`, a folder, or - for standard input; repeatable (default: those of the cluster)")
	flags.StringArrayVar(&f.namespaceLabels, "namespace-label", nil, "label of the namespace, as `key=value`; repeatable")
	flags.StringVar(&f.launcher, "launcher", "",
		"service `account` that creates the skeleton, as NAMESPACE/NAME (default: one that the policies list)")
	flags.StringArrayVar(&f.claims, "claim", nil, "`file` with PersistentVolumeClaims that exist; repeatable")
	flags.StringVar(&f.pod, "pod", "", "`file` with the pod that is sent instead of a bare skeleton")
	flags.BoolVar(&f.inlineEnv, "inline-env", false, "show the values of --env instead of references to a Secret")
}

// subject is one server and what the cluster would know of it beside the policies: what a request is made of.
type subject struct {
	identity  policy.Identity
	namespace policy.Namespace
	caller    string // empty: an account that policy lists
	claims    []metav1.PartialObjectMetadata
	sent      sentPod
	refused   []policy.Denial // of what is sent, whatever a policy says
}

// request is a server that a command is about, and the policies that decide on it.
type request struct {
	policies   *policy.Compiled
	unreadable policy.Unreadable
	input      policy.Input
	// warnings are what is doubtful about the policies.
	warnings []string
	// own is the user's own namespace, where policy says that the server belongs there.
	own policy.UserNamespace
}

// place puts the server where policy says that it belongs, if policy says so. What of a namespace is said otherwise is kept.
func (r *request) place() []policy.Denial {
	in := r.input
	in.Namespace = policy.Namespace{} // the one that is assumed otherwise says nothing of the server
	own, denials := r.policies.Namespace(in)
	if len(denials) > 0 || own.Name == "" {
		return denials
	}
	r.own = own
	r.input.Namespace.Name = own.Name
	if len(r.input.Namespace.Labels) == 0 && own.Create {
		r.input.Namespace.Labels = maps.Clone(own.Labels)
		r.input.Namespace.Labels[corev1.LabelMetadataName] = own.Name
	}
	return nil
}

// apply fits the pod. The error is a failure, and may be a denial, which has a result beside it.
func (r *request) apply() (*policy.Result, error) {
	result, err := r.policies.Apply(r.input)
	if err != nil {
		return nil, failed(err)
	}
	r.unreadable.AddTo(&result, r.input.Namespace.Name)
	if len(result.Denials) > 0 {
		return &result, denied(result.Denials)
	}
	return &result, nil
}

// input is what the engine is asked about the subject.
func (s *subject) input() policy.Input {
	return policy.Input{
		Identity:  s.identity,
		Namespace: s.namespace,
		Caller:    s.caller,
		Claims:    policy.ClaimList(s.claims),
		Sent:      s.sent.pod,
		Surplus:   s.sent.surplus,
		Shape:     s.sent.shape,
		Refused:   s.refused,
	}
}

// request asks the policies about the subject. Its error is that the hub isn't known.
func (s *subject) request(policies *policySet) (*request, error) {
	r := &request{policies: policies.compiled, unreadable: policies.unreadable, warnings: policies.warnings, input: s.input()}
	if s.identity.Hub != "" {
		return r, nil
	}
	hub, err := policies.onlyHub()
	r.input.Identity.Hub = hub
	return r, err
}

// newRequest reads everything that the flags name.
func newRequest(ctx context.Context, server *serverFlags, more *inputFlags, in io.Reader) (*request, error) {
	s, err := more.subject(server)
	if err != nil {
		return nil, invalid(err)
	}
	policies, err := more.files.load(ctx, s.namespace, in)
	if err != nil {
		return nil, err
	}
	r, err := s.request(policies)
	if err != nil {
		return nil, invalid(fmt.Errorf("--hub is needed: %w", err))
	}
	if !server.hasNamespace && (s.sent.pod == nil || s.sent.pod.Namespace == "") {
		if denials := r.place(); len(denials) > 0 {
			return nil, denied(denials)
		}
	}
	if len(more.files) == 0 {
		if r.own.Name != "" { // its SpawnPolicies weren't read
			if policies, err = more.files.load(ctx, r.input.Namespace, in); err != nil {
				return nil, err
			}
			r.policies, r.unreadable, r.warnings = policies.compiled, policies.unreadable, policies.warnings
		}
		if err := r.askCluster(ctx, len(s.namespace.Labels) == 0, len(more.claims) == 0); err != nil {
			return nil, err
		}
	}
	if more.inlineEnv {
		return r, nil
	}
	err = r.hideEnv()
	return r, err
}

// subject is the server that the flags describe. Every bad flag is in the error.
func (f *inputFlags) subject(server *serverFlags) (*subject, error) {
	sent, sentErr := sentIn(f.pod)
	id, idErr := server.identity(sent.identity)
	labels, labelErr := keyValues("namespace-label", f.namespaceLabels)
	caller, callerErr := callerOf(f.launcher)
	if callerErr != nil {
		callerErr = fmt.Errorf("--launcher %w", callerErr)
	}
	claims, claimErr := claimsOf("--claim ", f.claims)
	namespace := server.namespace
	if sent.pod != nil && sent.pod.Namespace != "" && !server.hasNamespace {
		namespace = sent.pod.Namespace
	}
	return &subject{
		identity: id, namespace: policy.Namespace{Name: namespace, Labels: labels}, caller: caller, claims: claims, sent: sent,
		refused: append(sent.unreadableBeside(server.user), sent.owned...),
	}, errors.Join(sentErr, idErr, labelErr, callerErr, claimErr)
}

// askCluster adds what the webhook would know beside the policies.
func (r *request) askCluster(ctx context.Context, labels, claims bool) (err error) {
	namespace := &r.input.Namespace
	if labels {
		found, err := labelsOfNamespace(ctx, namespace.Name)
		switch {
		case err == nil:
			namespace.Labels = found
		case !r.own.Create || !apierrors.IsNotFound(err): // a user's own comes with the first server
			return err
		}
	}
	if claims {
		found, err := claimsOfNamespace(ctx, namespace.Name)
		if err != nil {
			return err
		}
		r.input.Claims = policy.ClaimList(found)
	}
	return nil
}

// hideEnv names the hub's environment instead of holding it, as a skeleton does. A launcher gives each Secret a random
// end; here the same command prints the same bytes.
func (r *request) hideEnv() error {
	id := &r.input.Identity
	if len(id.Env) == 0 {
		return nil
	}
	id.EnvKeys = slices.Sorted(maps.Keys(id.Env))
	id.Env = nil
	name := id.Name
	if name == "" {
		result, err := r.policies.Apply(r.input)
		if err != nil {
			return failed(err)
		}
		name = result.Names.Pod
	}
	id.EnvSecret = name + "-env-rendered"
	return nil
}

// callerOf is the user name of a launcher's account; empty where none is given.
func callerOf(launcher string) (string, error) {
	if launcher == "" {
		return "", nil
	}
	namespace, name, ok := strings.Cut(launcher, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%q must be of the form NAMESPACE/NAME", launcher)
	}
	return "system:serviceaccount:" + namespace + ":" + name, nil
}
