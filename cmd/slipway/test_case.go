package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-hub/slipway/policy"
)

// testCase is a test with everything read that it names.
type testCase struct {
	file, name string
	request    *request
	expect     *expectation
	// exactPod is what exactPod names; nil where it names nothing.
	exactPod map[string]any
}

// testResult is what came of a test.
type testResult struct {
	File        string
	Name        string
	Took        time.Duration
	Differences []difference // none: it passed
}

// casesOf reads a file, its policies and whatever else it names, and gives the tests whose name matches. What is doubtful about the
// policies is said where they are rendered and admitted, not at each run of their tests.
func casesOf(name string, matching *regexp.Regexp, cache *policyCache) ([]testCase, error) {
	f, err := readTestFile(name)
	if err != nil {
		return nil, err
	}
	r := caseReader{file: name, cache: cache}
	for _, p := range f.Policies {
		r.policies = append(r.policies, r.beside(p))
	}
	var cases []testCase
	for i := range f.Tests {
		t := &f.Tests[i]
		if !matching.MatchString(t.Name) {
			continue
		}
		c, err := r.read(t)
		for _, e := range eachError(err) {
			r.fail(fmt.Sprintf("%s: tests[%d].%s", name, i, e))
		}
		cases = append(cases, c)
	}
	return cases, errors.Join(r.problems...)
}

// caseReader reads what tests name, and goes on after an error, so that all errors are found at once.
type caseReader struct {
	file     string
	policies policyFiles
	cache    *policyCache
	problems []error
}

// fail notes a problem. Policies that are read for several namespaces have theirs once.
func (r *caseReader) fail(text string) {
	if !slices.ContainsFunc(r.problems, func(e error) bool { return e.Error() == text }) {
		r.problems = append(r.problems, errors.New(text))
	}
}

// beside is the path of a file that a test names.
func (r *caseReader) beside(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// read gives one test. The error's texts begin with the field of the test; what is wrong with the policies is noted apart.
func (r *caseReader) read(t *policyTest) (testCase, error) {
	c := testCase{file: r.file, name: t.Name, expect: &t.Expect}
	s, err := r.subject(t)
	var exactErr error
	if c.exactPod, exactErr = podIn(r.beside(t.Expect.ExactPod)); exactErr != nil {
		err = errors.Join(err, fmt.Errorf("expect.exactPod: %w", exactErr))
	}
	policies, loadErr := r.cache.load(r.policies, s.namespace)
	if loadErr != nil {
		for _, e := range eachError(errors.Unwrap(loadErr)) {
			r.fail(e.Error())
		}
		return c, err
	}
	if err != nil {
		return c, err
	}
	if c.request, err = s.request(policies); err != nil {
		return c, fmt.Errorf("identity.hub: is needed: %w", err)
	}
	if err := c.request.hideEnv(); err != nil {
		return c, fmt.Errorf("identity.env: %w", err)
	}
	return c, nil
}

// subject is the server that a test describes.
func (r *caseReader) subject(t *policyTest) (*subject, error) {
	var problems []error
	s := &subject{namespace: policy.Namespace{Name: t.Namespace.Name, Labels: t.Namespace.Labels}}
	var err error
	if s.sent, err = sentIn(r.beside(t.Pod)); err != nil {
		problems = append(problems, fmt.Errorf("pod: %w", err))
	}
	if s.namespace.Name == "" && s.sent.pod != nil {
		s.namespace.Name = s.sent.pod.Namespace
	}
	if s.namespace.Name == "" {
		s.namespace.Name = defaultNamespace
	}
	s.refused = append(s.sent.unreadableBeside(t.Identity.User), s.sent.owned...)
	id := &t.Identity
	s.identity = putOver(s.sent.identity, policy.Identity{
		Hub: id.Hub, User: id.User, Server: id.Server, UserID: id.UserID, Groups: id.Groups, Profile: id.Profile, Options: id.Options,
		UserAnnotations: id.UserAnnotations, Env: id.Env,
	})
	if s.identity.User == "" {
		problems = append(problems, errors.New("identity.user: is needed: the name of the user"))
	}
	if s.caller, err = callerOf(t.Launcher); err != nil {
		problems = append(problems, fmt.Errorf("launcher: %w", err))
	}
	files := make([]string, len(t.Claims))
	for i, c := range t.Claims {
		files[i] = r.beside(c)
	}
	s.claims, err = claimsOf("claims: ", files)
	return s, errors.Join(append(problems, err)...)
}

// podIn reads a whole pod of a file, by itself or first in a List, as render prints it.
func podIn(file string) (map[string]any, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no file, no pod
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []map[string]any `json:"items"`
	}
	if errs := policy.DecodeInto(data, &list); len(errs) == 0 && list.Kind == "List" && len(list.Items) > 0 {
		if data, err = json.Marshal(list.Items[0]); err != nil {
			return nil, err
		}
	}
	pod := &corev1.Pod{}
	if errs := faultsOf("", policy.DecodeInto(data, pod)); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", file, errors.Join(errs...))
	}
	if pod.Kind != "Pod" || pod.APIVersion != "v1" {
		return nil, fmt.Errorf("%s: holds a %q of %q, and must hold a Pod of v1", file, pod.Kind, pod.APIVersion)
	}
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	delete(tree, "status")
	return tree, err
}

// run asks the engine, and compares. The error is a failure of ours.
func (c *testCase) run() (testResult, error) {
	began := time.Now()
	found, err := c.differences()
	return testResult{File: c.file, Name: c.name, Took: time.Since(began), Differences: found}, err
}

func (c *testCase) differences() ([]difference, error) {
	result, err := c.request.apply()
	if result == nil {
		return nil, err
	}
	warnings := c.expect.warningDifferences(result.AllWarnings())
	if len(result.Denials) > 0 || len(c.expect.Denied) > 0 {
		return append(c.expect.denials(result.Denials), warnings...), nil
	}
	list, err := listOf(result, c.request.input.Namespace.Name, policy.UserNamespace{})
	if err != nil {
		return nil, err
	}
	items, _ := list["items"].([]any)
	pod, _ := items[0].(map[string]any)
	found := c.expect.podDifferences(pod)
	if c.exactPod != nil {
		found = append(found, differences(c.exactPod, withoutUnsaid(pod, c.exactPod), podType, true)...)
	}
	var claim map[string]any
	if len(items) > 1 {
		claim, _ = items[1].(map[string]any)
	}
	found = append(found, c.expect.claimDifferences(claim)...)
	return append(found, warnings...), nil
}

// denials: each that is expected fits one that there is, and each that there is fits one that is expected.
func (e *expectation) denials(have []policy.Denial) []difference {
	var got []string
	for _, d := range have {
		got = append(got, denied([]policy.Denial{d}).Error())
	}
	if len(e.Denied) == 0 {
		return []difference{{Path: "denied", Got: strings.Join(got, "\n")}}
	}
	if len(have) == 0 {
		got = []string{"a fitted pod"}
	}
	var found []difference
	for i := range e.Denied {
		if !slices.ContainsFunc(have, e.Denied[i].fits) {
			found = append(found, difference{fmt.Sprintf("denied[%d]", i), e.Denied[i].String(), strings.Join(got, "\n")})
		}
	}
	if len(found) > 0 {
		return found
	}
	for i, d := range have {
		if !slices.ContainsFunc(e.Denied, func(want testDenial) bool { return want.fits(d) }) {
			found = append(found, difference{Path: "denied", Got: got[i]})
		}
	}
	return found
}

func (e *expectation) podDifferences(pod map[string]any) []difference {
	found := differences(e.Pod, pod, podType, false)
	for _, text := range e.Absent {
		path, err := parsePath(text)
		if err != nil {
			continue // check has refused it
		}
		m := matcher{}
		m.absent(path, pod, podType)
		found = append(found, m.found...)
	}
	return found
}

// claimDifferences: claim is nil where policy asks for none.
func (e *expectation) claimDifferences(claim map[string]any) []difference {
	switch {
	case e.NoClaim && claim != nil:
		return []difference{{Path: "claim", Got: claim}}
	case e.Claim != nil && claim == nil:
		return []difference{{Path: "claim", Want: e.Claim}}
	}
	m := matcher{}
	for _, d := range differences(e.Claim, claim, claimType, false) {
		m.differ("claim: "+d.Path, d.Want, d.Got)
	}
	return m.found
}

func (e *expectation) warningDifferences(have []string) []difference {
	var found []difference
	for i, want := range e.Warnings {
		if !slices.ContainsFunc(have, func(w string) bool { return strings.Contains(w, want) }) {
			d := difference{Path: fmt.Sprintf("warnings[%d]", i), Want: want}
			if len(have) > 0 {
				d.Got = strings.Join(have, "\n")
			}
			found = append(found, d)
		}
	}
	return found
}

// withoutUnsaid leaves out what a file with the whole pod may leave out: the namespace, which the test names, and which policies made
// it, whose hash is another after every change of them.
func withoutUnsaid(pod, said map[string]any) map[string]any {
	meta, _ := pod["metadata"].(map[string]any)
	saidMeta, _ := said["metadata"].(map[string]any)
	saidAnnotations, _ := saidMeta["annotations"].(map[string]any)
	if _, says := saidMeta["namespace"]; !says {
		delete(meta, "namespace")
	}
	if _, says := saidAnnotations[policy.AnnotationApplied]; !says {
		annotations, _ := meta["annotations"].(map[string]any)
		delete(annotations, policy.AnnotationApplied)
	}
	return pod
}
