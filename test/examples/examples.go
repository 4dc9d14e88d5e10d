// Package examples reads the tests of policies: files that end in _test.yaml and say, for some servers, what policies make of them.
package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

// File is a file of tests.
type File struct {
	// Policies are files, relative to this one.
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
	Expect   Expect `json:"expect"`
}

// Expect is what must come of it: parts of the pod and the claim, or exactly these denials.
type Expect struct {
	Pod      any      `json:"pod"`
	Claim    any      `json:"claim"`
	Denied   []Denial `json:"denied"`
	Warnings []string `json:"warnings"`
}

// Denial is the part of a policy.Denial that must be there: Message is contained, an empty Field is any.
type Denial struct {
	Code    policy.Code `json:"code"`
	Field   string      `json:"field"`
	Message string      `json:"message"`
}

// Read gives the file of tests and the text of the policies that it names.
func Read(path string) (File, []byte, error) {
	var f File
	data, err := os.ReadFile(path)
	if err != nil {
		return f, nil, err
	}
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		return f, nil, fmt.Errorf("%s: %w", path, err)
	}
	var policies []byte
	for _, name := range f.Policies {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return f, nil, err
		}
		policies = append(append(policies, text...), "\n---\n"...)
	}
	return f, policies, nil
}

// Input is what the engine gets for a case.
func (c *Case) Input() policy.Input {
	id := c.Identity
	in := policy.Input{
		Identity: policy.Identity{
			Hub: id.Hub, User: id.User, Server: id.Server, UserID: id.UserID, Groups: id.Groups, Profile: id.Profile, Options: id.Options,
			UserAnnotations: id.UserAnnotations, Env: id.Env,
		},
		Namespace: policy.Namespace{Name: c.Namespace.Name, Labels: c.Namespace.Labels},
	}
	if namespace, name, ok := strings.Cut(c.Launcher, "/"); ok {
		in.Caller = "system:serviceaccount:" + namespace + ":" + name
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

// DenialDifferences says where denials aren't those expected.
func DenialDifferences(want []Denial, got []policy.Denial) []string {
	var all []string
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(d policy.Denial) bool {
			return d.Code == w.Code && (w.Field == "" || w.Field == d.Field) && strings.Contains(d.Message, w.Message)
		})
		if i < 0 {
			all = append(all, fmt.Sprintf("not denied by %s", text(w)))
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, d := range left {
		all = append(all, fmt.Sprintf("denied: %s %s", d.Code, d))
	}
	return all
}

// WithoutDefaultTolerations is a pod without what the API server adds to each.
func WithoutDefaultTolerations(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.Tolerations = slices.DeleteFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	})
	return pod
}
