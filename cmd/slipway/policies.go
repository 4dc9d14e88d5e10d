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
}

// load reads the policies from the files, or from the cluster where no file is named, and compiles them. A SpawnPolicy
// that names no namespace is for the given one, as with kubectl apply -n. All errors of all files are in the one that it returns.
func (f policyFiles) load(ctx context.Context, namespace string, in io.Reader) (*policySet, error) {
	if len(f) == 0 {
		return policiesOfCluster(ctx)
	}
	r := policyReader{namespace: namespace, files: map[policy.PolicyRef]string{}}
	r.read(f, in)
	if err := errors.Join(r.problems...); err != nil {
		return nil, invalid(err)
	}
	compiled := policy.Compile(r.policies)
	var problems []error
	for _, e := range compiled.Errors() {
		ref := e.Policy
		ref.Generation = 0
		problems = append(problems, fmt.Errorf("%s: %w", r.files[ref], e))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, invalid(err)
	}
	return &policySet{r.policies, compiled}, nil
}

// policyReader reads policy files, and goes on after an error, so that all errors are found at once.
type policyReader struct {
	namespace string
	policies  policy.Policies
	files     map[policy.PolicyRef]string // where each policy stands
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
			one.Namespace = r.namespace
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
	for _, spec := range s.specs() {
		hubs.Insert(spec.Hubs...)
		for i := range spec.Launchers {
			hubs.Insert(spec.Launchers[i].Hubs...)
		}
	}
	switch hubs.Len() {
	case 0:
		return "", errors.New("the policies name no hub")
	case 1:
		return hubs.UnsortedList()[0], nil
	}
	return "", fmt.Errorf("the policies name several: %s", strings.Join(sets.List(hubs), ", "))
}

// launchers are the accounts that the policies list, each once.
func (s *policySet) launchers() []string {
	var accounts []string
	for _, spec := range s.specs() {
		for i := range spec.Launchers {
			l := &spec.Launchers[i].ServiceAccount
			if account := accountName(l.Namespace, l.Name); !slices.Contains(accounts, account) {
				accounts = append(accounts, account)
			}
		}
	}
	return accounts
}

// specs are what the policies say, those of the cluster first.
func (s *policySet) specs() []*v1alpha1.SpawnPolicySpec {
	var specs []*v1alpha1.SpawnPolicySpec
	for i := range s.Cluster {
		specs = append(specs, &s.Cluster[i].Spec)
	}
	for i := range s.Namespaced {
		specs = append(specs, &s.Namespaced[i].Spec)
	}
	return specs
}
