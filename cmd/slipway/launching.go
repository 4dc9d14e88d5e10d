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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// launching is a launcher of this command's own, by the rights of whoever runs it, for one server.
type launching struct {
	*launcher.Launcher

	client    kubernetes.Interface
	identity  policy.Identity
	key       launcher.Key
	namespace string
	end       func()
}

// launcher begins to watch where the server is that the flags name, and waits until it knows what is there. Its end has to be called.
func (f *serverFlags) launcher(ctx context.Context) (*launching, error) {
	id, err := f.identity(policy.Identity{})
	if err != nil {
		return nil, invalid(err)
	}
	if id.Hub == "" {
		r, err := newRequest(ctx, f, &inputFlags{}, nil)
		if err != nil {
			return nil, err
		}
		id.Hub = r.input.Identity.Hub
	}
	config, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, failed(fmt.Errorf("reach the cluster: %w", err))
	}
	l, err := launcher.New(launcher.Config{Rest: config, Namespaces: []string{f.namespace}, Hubs: []string{id.Hub}})
	if err != nil {
		return nil, failed(err)
	}
	running, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.Run(running); err != nil {
			stop(err)
		}
	}()
	s := &launching{
		Launcher: l, client: client, identity: id, key: launcher.Key{Hub: id.Hub, User: id.User, Name: id.Server}, namespace: f.namespace,
		end: func() { stop(nil); <-ended },
	}
	if err := s.awaitReady(running); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// show prints a step.
func show(w io.Writer, s launcher.Step) {
	paint, message := terminal.For(w), terminal.Plain(s.Message)
	switch {
	case s.Done && (s.Server == nil || s.Server.State != launcher.Running):
		fmt.Fprintln(w, "      "+paint.Red(message))
	case s.Progress < 0:
		fmt.Fprintln(w, "      "+message)
	default:
		fmt.Fprintf(w, "%s %s\n", paint.Green(fmt.Sprintf("%4d%%", s.Progress)), message)
	}
}

// showFitted prints what policy gave a pod that was sent bare, in a few lines.
func (s *launching) showFitted(ctx context.Context, w io.Writer, server *launcher.Server) {
	pod, err := s.client.CoreV1().Pods(server.Namespace).Get(ctx, server.Pod, metav1.GetOptions{})
	if err != nil {
		return // it isn't what was asked for
	}
	paint := terminal.For(w)
	fmt.Fprintln(w, "What policy gave the pod, which was sent with a name and whose it is:")
	for _, line := range fittedLines(pod) {
		fmt.Fprintln(w, paint.Green("  + "+line))
	}
}

func fittedLines(pod *corev1.Pod) []string {
	var lines []string
	add := func(what, value string) {
		if value != "" {
			lines = append(lines, what+": "+value)
		}
	}
	add("by policies", names(policy.AppliedPolicies(pod)))
	for _, c := range pod.Spec.InitContainers {
		add("init container "+c.Name, c.Image)
	}
	for _, c := range pod.Spec.Containers {
		add("container "+c.Name, c.Image)
		add("  requests", quantities(c.Resources.Requests))
		add("  limits", quantities(c.Resources.Limits))
		if len(c.Env) > 0 {
			add("  variables", fmt.Sprint(len(c.Env)))
		}
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			add("  user id", fmt.Sprint(*c.SecurityContext.RunAsUser))
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			add("volume "+v.Name, "claim "+v.PersistentVolumeClaim.ClaimName)
		}
	}
	if account := pod.Spec.ServiceAccountName; account != "default" {
		add("service account", account)
	}
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		add("node selector "+key, pod.Spec.NodeSelector[key])
	}
	return lines
}

func quantities(list corev1.ResourceList) string {
	var all []string
	for name, q := range list {
		all = append(all, string(name)+" "+q.String())
	}
	slices.SortFunc(all, cmp.Compare[string])
	return strings.Join(all, ", ")
}

// awaitReady waits until the launcher knows what is there.
func (s *launching) awaitReady(ctx context.Context) error {
	const long, often = 30 * time.Second, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		err := s.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				err = cause
			}
			return failed(fmt.Errorf("read the servers and policies of namespace %s: %w", s.namespace, err))
		case <-tick.C:
		}
	}
}
