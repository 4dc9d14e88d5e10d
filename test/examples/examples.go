// Package examples reads the tests of policies: files that end in _test.yaml and say, for some servers, what policies make of them.
package examples

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// File is a file of tests.
type File struct {
	// Policies are files and folders, relative to this one; Read gives the files.
	Policies []string `json:"policies"`
	Tests    []Case   `json:"tests"`
}

// Case is one server.
type Case struct {
	Name      string `json:"name"`
	Namespace struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"namespace"`
	Identity struct {
		Hub             string            `json:"hub"`
		User            string            `json:"user"`
		Server          string            `json:"server"`
		UserID          *int64            `json:"userId"`
		Groups          []string          `json:"groups"`
		Profile         string            `json:"profile"`
		Options         map[string]string `json:"options"`
		UserAnnotations map[string]string `json:"userAnnotations"`
		Env             map[string]string `json:"env"`
	} `json:"identity"`
	// Launcher is NAMESPACE/NAME; empty: one that policy lists.
	Launcher string `json:"launcher"`
	// Pod is the file, relative to that of the tests, with the pod that is sent. Empty: a bare skeleton.
	Pod    string `json:"pod"`
	Expect Expect `json:"expect"`
	// Sent is what Read found in Pod; nil: a bare skeleton.
	Sent *corev1.Pod `json:"-"`
}

// Expect is what must come of it: parts of the pod and the claim, or exactly these denials. What is to be absent is slipway test's
// business: the webhook's own verification keeps anything else out of the stored pod.
type Expect struct {
	Pod any `json:"pod"`
	// ExactPod is the file, relative to that of the tests, with the pod as slipway render prints it.
	ExactPod string   `json:"exactPod"`
	Absent   []string `json:"absent"`
	Claim    any      `json:"claim"`
	NoClaim  bool     `json:"noClaim"`
	Denied   []Denial `json:"denied"`
	Warnings []string `json:"warnings"`
	// Rendered is what Read found in ExactPod; nil where it names nothing.
	Rendered any `json:"-"`
}

// Denial is the part of a policy.Denial that must be there: Message is contained, an empty Field is any.
type Denial struct {
	Code    policy.Code `json:"code"`
	Field   string      `json:"field"`
	Message string      `json:"message"`
}

// Read gives the file of tests, with what it names, and the text of its policies.
func Read(path string) (File, []byte, error) {
	var f File
	if err := readYAML(path, &f); err != nil {
		return f, nil, err
	}
	var policies []byte
	var files []string
	for _, name := range f.Policies {
		found, err := policyFiles(beside(path, name))
		if err != nil {
			return f, nil, err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return f, nil, err
		}
		policies = append(append(policies, text...), "\n---\n"...)
	}
	f.Policies = files
	hub, err := onlyHub(path, policies)
	if err != nil {
		return f, nil, err
	}
	for i := range f.Tests {
		c := &f.Tests[i]
		c.Identity.Hub = cmp.Or(c.Identity.Hub, hub)
		if c.Pod != "" {
			c.Sent = &corev1.Pod{}
			if err := readYAML(beside(path, c.Pod), c.Sent); err != nil {
				return f, nil, err
			}
			c.Sent.Namespace = c.Namespace.Name
		}
		if c.Expect.ExactPod != "" {
			if err := readYAML(beside(path, c.Expect.ExactPod), &c.Expect.Rendered); err != nil {
				return f, nil, err
			}
		}
	}
	return f, policies, nil
}

// onlyHub is the one that policies name, "" where they name none or several: what slipway takes where nobody says one.
func onlyHub(path string, text []byte) (string, error) {
	policies, err := policy.Decode(path, text)
	if err != nil {
		return "", err
	}
	var hubs []string
	add := func(spec *v1alpha1.SpawnPolicySpec) {
		hubs = append(hubs, spec.Hubs...)
		for i := range spec.Launchers {
			hubs = append(hubs, spec.Launchers[i].Hubs...)
		}
	}
	for i := range policies.Cluster {
		add(&policies.Cluster[i].Spec)
	}
	for i := range policies.Namespaced {
		add(&policies.Namespaced[i].Spec)
	}
	slices.Sort(hubs)
	if hubs = slices.Compact(hubs); len(hubs) == 1 {
		return hubs[0], nil
	}
	return "", nil
}

func beside(path, name string) string { return filepath.Join(filepath.Dir(path), name) }

func readYAML(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// policyFiles are those of a folder, which tests may stand in as well, or the file itself.
func policyFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*.yaml"))
	return slices.DeleteFunc(files, isTests), err
}

func isTests(path string) bool { return strings.HasSuffix(path, "_test.yaml") }

// Files are the files of tests in a folder and those below it.
func Files(folder string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if isTests(path) {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// Input is what the engine gets for a case.
func (c *Case) Input() policy.Input {
	namespace := policy.Namespace{Name: c.Namespace.Name, Labels: c.Namespace.Labels}
	id := c.Identity
	in := policy.Input{
		Identity: policy.Identity{
			Hub: id.Hub, User: id.User, Server: id.Server, UserID: id.UserID, Groups: id.Groups, Profile: id.Profile, Options: id.Options,
			UserAnnotations: id.UserAnnotations, Env: id.Env,
		},
		Namespace: namespace,
	}
	if c.Sent != nil {
		sent, denials := policy.IdentityOf(c.Sent)
		in = policy.Input{Identity: sent, Namespace: namespace, Sent: c.Sent, Refused: append(denials, policy.Owned(c.Sent)...)}
	}
	if account, name, ok := strings.Cut(c.Launcher, "/"); ok {
		in.Caller = "system:serviceaccount:" + account + ":" + name
	}
	return in
}

// Differences says where a pod or a claim isn't as expected. want is part of it, as JSON has it.
func Differences(want, got any) ([]string, error) {
	data, err := json.Marshal([]any{want, got})
	if err != nil {
		return nil, err
	}
	var pair []any
	if err := json.Unmarshal(data, &pair); err != nil {
		return nil, err
	}
	return differences("", pair[0], pair[1]), nil
}

// differences: maps contain, lists of things with a name match by it, other lists are equal, and a list that is empty is none.
func differences(at string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		var all []string
		for key, value := range w {
			all = append(all, differences(at+"."+key, value, g[key])...)
		}
		slices.Sort(all)
		return all
	case []any:
		g, _ := got.([]any)
		if len(w) > 0 && nameOf(w[0]) != "" {
			return unmatched(at, w, g)
		}
		if len(w) != len(g) {
			return []string{fmt.Sprintf("%s: want %s, got %s", at, text(want), text(got))}
		}
		var all []string
		for i := range w {
			all = append(all, differences(fmt.Sprintf("%s[%d]", at, i), w[i], g[i])...)
		}
		return all
	}
	if want != got {
		return []string{fmt.Sprintf("%s: want %s, got %s", at, text(want), text(got))}
	}
	return nil
}

// unmatched are the wanted items that no item of their name is like: several may have one name, as mounts of one volume do.
func unmatched(at string, want, got []any) []string {
	var all []string
	for _, w := range want {
		var nearest []string
		found := false
		for _, g := range got {
			if nameOf(g) == nameOf(w) {
				nearest = differences(at+"["+nameOf(w)+"]", w, g)
				if found = len(nearest) == 0; found {
					break
				}
			}
		}
		if !found && nearest == nil {
			nearest = []string{fmt.Sprintf("%s[%s]: isn't there", at, nameOf(w))}
		}
		if !found {
			all = append(all, nearest...)
		}
	}
	return all
}

func nameOf(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// DenialDifferences says where denials aren't those expected: each of want has to fit one of got, and each of got one of want.
func DenialDifferences(want []Denial, got []policy.Denial) []string {
	var all []string
	for i := range want {
		if !slices.ContainsFunc(got, want[i].fits) {
			all = append(all, fmt.Sprintf("not denied by %s", text(want[i])))
		}
	}
	for _, d := range got {
		if !slices.ContainsFunc(want, func(w Denial) bool { return w.fits(d) }) {
			all = append(all, fmt.Sprintf("denied: %s %s", d.Code, d))
		}
	}
	return all
}

func (d *Denial) fits(have policy.Denial) bool {
	return d.Code == have.Code && (d.Field == "" || d.Field == have.Field) && strings.Contains(have.Message, d.Message)
}

// WithoutDefaultTolerations is a pod without what the API server adds to each.
func WithoutDefaultTolerations(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.Tolerations = slices.DeleteFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	})
	return pod
}
