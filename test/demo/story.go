package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// examples is the folder of the policies that the demo works with.
const examples = "policy/examples"

// demo is one run.
type demo struct {
	screen *screen
	plane  *plane
	hub    kubernetes.Interface // as the hub's account
	admin  kubernetes.Interface // as whoever installed all this

	hubKubeconfig string // a file with a token of that account
	folder        string // of that file, and of the webhook's certificate
	stopWebhook   func() error
}

func newDemo(out io.Writer) *demo { return &demo{screen: newScreen(out)} }

// run tells the whole story.
func (d *demo) run(ctx context.Context) error {
	s := d.screen
	fmt.Fprintln(s.out, "\n"+s.paint.Bold("Slipway: a hub launches a bare pod, and the cluster fits it out, by policy."))
	for _, step := range []func(context.Context) error{d.offline, d.start, d.fitOut, d.getAround} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "\n%s %s\n", s.paint.Green("✓ All as promised."), s.paint.Dim(time.Since(s.began).Round(time.Second/10).String()))
	fmt.Fprintln(s.out, "  The policies are in "+examples+"/; README.md says how to go on.")
	return nil
}

// cleanUp stops and deletes everything that was started and made.
func (d *demo) cleanUp() error {
	var errs []error
	// The configuration goes before the webhook, so that no pod is refused meanwhile.
	errs = append(errs, d.plane.close())
	if d.stopWebhook != nil {
		errs = append(errs, d.stopWebhook())
	}
	if d.folder != "" {
		errs = append(errs, os.RemoveAll(d.folder))
	}
	return errors.Join(errs...)
}

// alice is who the server is for.
func alice() policy.Identity {
	return policy.Identity{Name: "jupyter-alice", Hub: hub, User: "alice"}
}

// offline renders alice's server from the files alone.
func (d *demo) offline(ctx context.Context) error {
	s, began := d.screen, time.Now()
	s.heading("Offline: what would alice's server be?")
	args := []string{"render", "-f", examples, "--namespace", namespace, "--namespace-label", "tier=teaching", "--user", "alice"}
	s.command("slipway " + strings.Join(args, " "))
	pod, err := d.render(ctx, "", args...)
	if err != nil {
		return err
	}
	for _, row := range summary(pod) {
		fmt.Fprintf(s.out, "   %s %s\n", s.paint.Dim(fmt.Sprintf("%-9s", row[0])), row[1])
	}
	s.done("from two policy files, without a cluster", began)
	return nil
}

// slipway runs the command line and gives what it prints on standard output.
func (d *demo) slipway(ctx context.Context, kubeconfig string, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the programs: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "slipway")
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find the command line: %w; run make demo, which builds it", err)
	}
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("slipway %s: %w: %s", args[0], err, problems.String())
	}
	return out.Bytes(), nil
}

// render gives the pod that slipway render prints.
func (d *demo) render(ctx context.Context, kubeconfig string, args ...string) (*corev1.Pod, error) {
	out, err := d.slipway(ctx, kubeconfig, append(args, "--output", "json")...)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("slipway render printed no list: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("slipway render printed an empty list")
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(list.Items[0], pod); err != nil {
		return nil, fmt.Errorf("slipway render printed no pod: %w", err)
	}
	return pod, nil
}

// summary is a pod in a few lines: a title and a text each.
func summary(pod *corev1.Pod) [][2]string {
	rows := [][2]string{{"pod", pod.Namespace + "/" + pod.Name}}
	for i := range pod.Spec.InitContainers {
		rows = append(rows, [2]string{"init", describe(&pod.Spec.InitContainers[i])})
	}
	for i := range pod.Spec.Containers {
		rows = append(rows, [2]string{"container", describe(&pod.Spec.Containers[i])})
	}
	var volumes []string
	for i := range pod.Spec.Volumes {
		volumes = append(volumes, pod.Spec.Volumes[i].Name)
	}
	return append(rows, [2]string{"volumes", strings.Join(volumes, ", ")}, [2]string{"nodes", flow(generic(pod.Spec.NodeSelector))})
}

func describe(c *corev1.Container) string {
	text := fmt.Sprintf("%-27s %s", c.Name, c.Image)
	if memory, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
		text += ", " + memory.String()
	}
	return text
}

func generic(m map[string]string) map[string]any {
	g := map[string]any{}
	for k, v := range m {
		g[k] = v
	}
	return g
}

// start brings up the API server and everything in it.
func (d *demo) start(ctx context.Context) error {
	s, began := d.screen, time.Now()
	s.heading("A real API server")
	if os.Getenv("DEMO_KUBECONFIG") == "" {
		s.sayf("etcd and kube-apiserver, compiled from their Go modules. The first time that takes about 8 minutes on two " +
			"cores; after that it is cached outside this checkout, and starts in seconds.")
	}
	var err error
	if d.plane, err = openPlane(ctx, s); err != nil {
		return err
	}
	s.done("the API server answers", began)
	began = time.Now()
	if err := d.install(ctx); err != nil {
		return err
	}
	if err := d.logIn(ctx); err != nil {
		return err
	}
	s.done("CRDs, two policies, the hub's account, the webhook over TLS", began)
	return nil
}

// fitOut sends alice's skeleton and shows what is stored.
func (d *demo) fitOut(ctx context.Context) error {
	s := d.screen
	s.heading("The hub asks for alice's server")
	s.sayf("Its account has rights on pods and on nothing else. It says who the server is for:")
	sent, err := asObject(launcher.Skeleton(alice(), namespace))
	if err != nil {
		return err
	}
	d.show(sent, sent, sent)
	fmt.Fprintln(s.out)
	began := time.Now()
	args := []string{"launch", alice().Name, "--namespace", namespace, "--hub", hub, "--user", "alice"}
	s.command("slipway " + strings.Join(args, " "))
	if _, err := d.slipway(ctx, d.hubKubeconfig, append(args, "--until", "admitted")...); err != nil {
		return err
	}
	s.done("admitted", began)
	fmt.Fprintln(s.out)
	stored, fitted, err := d.storedAndFitted(ctx)
	if err != nil {
		return err
	}
	s.sayf("What is stored: %s by policy, %s by Kubernetes itself.", s.paint.Green("+ fitted"), s.paint.Dim("~ added"))
	d.show(stored, fitted, sent)
	if paths := missing(fitted, stored, ""); len(paths) > 0 {
		return fmt.Errorf("the stored pod lacks what policy says: %s", strings.Join(paths, ", "))
	}
	return nil
}

// storedAndFitted are alice's pod as the API server has it, and as policy says.
func (d *demo) storedAndFitted(ctx context.Context) (stored, fitted map[string]any, err error) {
	pod, err := d.hub.CoreV1().Pods(namespace).Get(ctx, alice().Name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("get alice's pod: %w", err)
	}
	if stored, err = asObject(pod); err != nil {
		return nil, nil, err
	}
	rendered, err := d.render(ctx, d.plane.kubeconfig, "render", "--namespace", namespace, "--hub", hub, "--user", "alice")
	if err != nil {
		return nil, nil, err
	}
	fitted, err = asObject(rendered)
	return stored, fitted, err
}

// show writes a pod, each line with who put it there.
func (d *demo) show(stored, fitted, sent map[string]any) {
	s := d.screen
	fmt.Fprintln(s.out)
	tree := compare(stored, fitted, sent)
	for _, l := range tree.lines(width - 2) {
		text := l.text
		if r := []rune(text); len(r) > width-2 {
			text = string(r[:width-3]) + "…"
		}
		switch l.origin {
		case fromPolicy:
			text = s.paint.Green("+ " + text)
		case fromCluster:
			text = s.paint.Dim("~ " + text)
		default:
			text = "  " + text
		}
		fmt.Fprintln(s.out, "   "+text)
	}
}

// asObject is a pod as JSON, without what every stored object has.
func asObject(pod *corev1.Pod) (map[string]any, error) {
	pod = pod.DeepCopy()
	pod.TypeMeta = metav1.TypeMeta{}
	pod.ObjectMeta = metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, Labels: maps.Clone(pod.Labels), Annotations: maps.Clone(pod.Annotations),
	}
	pod.Status = corev1.PodStatus{}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("encode the pod: %w", err)
	}
	delete(object, "status")
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, _ := unstructured.NestedFieldNoCopy(object, "spec", list)
		items, _ := containers.([]any)
		for _, item := range items {
			if c, ok := item.(map[string]any); ok && reflect.DeepEqual(c["resources"], map[string]any{}) {
				delete(c, "resources") // says nothing, and the client always writes it
			}
		}
	}
	return object, nil
}
