package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// policyFiles are the values of -f.
type policyFiles []string

// policySet are the policies of a command, as they were written and compiled.
type policySet struct {
	policy.Policies

	compiled *policy.Compiled
	// unreadable are those of a cluster that can't be decoded.
	unreadable policy.Unreadable
	// warnings are what admission would warn of, in files.
	warnings []string
	// files say where each policy stands, where it is of a file.
	files map[policy.PolicyRef]string
	// named are the namespaces that SpawnPolicies of files name. placed: one names none, so it is for that which was asked about.
	named  sets.Set[string]
	placed bool
}

// load reads the policies from the files, or from the cluster where no file is named, and compiles them. A SpawnPolicy
// that names no namespace is for the given one, as with kubectl apply -n. Files are judged as admission judges what is written to
// a cluster. All errors of all files are in the one that it returns.
func (f policyFiles) load(ctx context.Context, namespace policy.Namespace, in io.Reader) (*policySet, error) {
	if len(f) == 0 {
		return policiesOfCluster(ctx, namespace.Name)
	}
	set, err := f.read(namespace.Name, in)
	if err != nil {
		return nil, err
	}
	set.warnings, err = set.judge(namespace)
	return set, err
}

// read reads and compiles the policies of the files.
func (f policyFiles) read(namespace string, in io.Reader) (*policySet, error) {
	r := policyReader{namespace: namespace, files: map[policy.PolicyRef]string{}, named: sets.New[string]()}
	r.read(f, in)
	if err := errors.Join(r.problems...); err != nil {
		return nil, invalid(err)
	}
	return &policySet{
		Policies: r.policies, compiled: policy.Compile(r.policies), files: r.files, named: r.named, placed: r.placed,
	}, nil
}

// judge gives the warnings of admission, and its errors.
func (s *policySet) judge(namespace policy.Namespace) (warnings []string, err error) {
	around := policy.Surroundings{}
	if len(namespace.Labels) > 0 { // without any, it isn't known what a namespace has
		around.Namespaces = []policy.Namespace{namespace}
	}
	var problems []error
	for _, ref := range s.compiled.Refs() {
		file := s.files[policy.PolicyRef{Namespace: ref.Namespace, Name: ref.Name}]
		found := s.compiled.Check(ref, around)
		for _, e := range found.Errors {
			problems = append(problems, fmt.Errorf("%s: %w", file, e))
		}
		for _, w := range found.Warnings {
			warnings = append(warnings, file+": "+ref.String()+": "+w)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, invalid(err)
	}
	return warnings, nil
}

// policyReader reads policy files, and goes on after an error, so that all errors are found at once.
type policyReader struct {
	namespace string
	policies  policy.Policies
	files     map[policy.PolicyRef]string // where each policy stands
	named     sets.Set[string]
	placed    bool
	problems  []error
}

func (r *policyReader) read(names []string, in io.Reader) {
	for _, name := range names {
		documents, err := documentsOf(name, in)
		if err != nil {
			r.problems = append(r.problems, err)
		}
		for _, d := range documents {
			r.decode(d)
		}
	}
}

func (r *policyReader) decode(d document) {
	p, err := policy.Decode(d.name, d.data)
	if err != nil {
		r.problems = append(r.problems, err)
		return
	}
	for i := range p.Cluster {
		r.note(policy.PolicyRef{Name: p.Cluster[i].Name}, d.name)
	}
	for i := range p.Namespaced {
		one := &p.Namespaced[i]
		if one.Namespace == "" {
			one.Namespace, r.placed = r.namespace, true
		} else {
			r.named.Insert(one.Namespace)
		}
		r.note(policy.PolicyRef{Namespace: one.Namespace, Name: one.Name}, d.name)
	}
	r.policies.Cluster = append(r.policies.Cluster, p.Cluster...)
	r.policies.Namespaced = append(r.policies.Namespaced, p.Namespaced...)
}

// note refuses a second policy of one name: a cluster can't hold both.
func (r *policyReader) note(ref policy.PolicyRef, file string) {
	if first, twice := r.files[ref]; twice {
		r.problems = append(r.problems, fmt.Errorf("%s: %s stands in %s already: rename one", file, ref, first))
		return
	}
	r.files[ref] = file
}

// document is the content of one file.
type document struct {
	name string
	data []byte
}

// documentsOf reads a file, the files of a folder, or standard input for "-".
func documentsOf(name string, in io.Reader) ([]document, error) {
	if name == "-" {
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return []document{{"standard input", data}}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	names := []string{name}
	if info.IsDir() {
		if names, err = filesOf(name); err != nil {
			return nil, err
		}
	}
	var documents []document
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document{n, data})
	}
	return documents, nil
}

// policyExtensions are those of the files that -f takes from a folder.
var policyExtensions = []string{".yaml", ".yml", ".json"}

// filesOf lists the YAML and JSON files of a folder, not of those in it, as kubectl does. A file that ends in _test.yaml
// is no policy but a policy's test.
func filesOf(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && !isTestFile(e.Name()) && slices.Contains(policyExtensions, filepath.Ext(e.Name())) {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no .yaml, .yml or .json file in that folder", folder)
	}
	return names, nil
}

// onlyHub is the hub that the policies and their launchers are for, where that is exactly one.
func (s *policySet) onlyHub() (string, error) {
	hubs := sets.New[string]()
	note := func(spec *v1alpha1.SpawnPolicySpec) {
		hubs.Insert(spec.Hubs...)
		for i := range spec.Launchers {
			hubs.Insert(spec.Launchers[i].Hubs...)
		}
	}
	for i := range s.Cluster {
		note(&s.Cluster[i].Spec)
	}
	for i := range s.Namespaced {
		note(&s.Namespaced[i].Spec)
	}
	switch hubs.Len() {
	case 0:
		return "", errors.New("the policies name no hub")
	case 1:
		return hubs.UnsortedList()[0], nil
	}
	return "", fmt.Errorf("the policies name several: %s", strings.Join(sets.List(hubs), ", "))
}
