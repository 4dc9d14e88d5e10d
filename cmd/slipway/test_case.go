package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hub/slipway/policy"
)

// testCase is a test with everything read that it names.
type testCase struct {
	file, name string
	request    *request
	expect     *expectation
	// exact is what expect.exactPod names; nil where it names nothing.
	exact *snapshot
	// placed: the test names no namespace, so the server goes where policy has it.
	placed bool
}

// testResult is what came of a test.
type testResult struct {
	File        string
	Name        string
	Took        time.Duration
	Differences []difference // none: it passed

	// pod is the fitted pod, without what its snapshot leaves out; nil without a snapshot, or for a denial.
	pod map[string]any
	// changed is how the snapshot differs from it. It is to go to Differences, or to be mended.
	changed []difference
}

// casesOf reads a file, its policies and whatever else it names, and gives the tests whose name matches. What is doubtful about the
// policies is said where they are rendered and admitted, not at each run of their tests.
func casesOf(name string, options testOptions, caches *policyCaches) ([]testCase, error) {
	f, err := readTestFile(name)
	if err != nil {
		return nil, err
	}
	r := caseReader{file: name, writesSnapshots: options.update}
	for _, p := range f.Policies {
		r.policies = append(r.policies, beside(r.file, p))
	}
	r.cache = caches.of(r.policies)
	var cases []testCase
	for i := range f.Tests {
		t := &f.Tests[i]
		if !options.matching.MatchString(t.Name) {
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
	// writesSnapshots: one that isn't there is no problem.
	writesSnapshots bool
}

// fail notes a problem. Policies that are read for several namespaces have theirs once.
func (r *caseReader) fail(text string) {
	if !slices.ContainsFunc(r.problems, func(e error) bool { return e.Error() == text }) {
		r.problems = append(r.problems, errors.New(text))
	}
}

// amongPolicies refuses a snapshot that -f would take for a policy.
func (r *caseReader) amongPolicies(file string) error {
	folder, name := filepath.Split(file)
	if !slices.Contains(r.policies, filepath.Clean(folder)) {
		return nil
	}
	return fmt.Errorf("%s: lies in a folder of policies, all of whose files are policies: put it into one below, as %s", file,
		filepath.Join(folder, "testdata", name))
}

// read gives one test. The error's texts begin with the field of the test; what is wrong with the policies is noted apart.
func (r *caseReader) read(t *policyTest) (testCase, error) {
	c := testCase{file: r.file, name: t.Name, expect: &t.Expect}
	s, err := r.subject(t)
	exact := beside(r.file, t.Expect.ExactPod)
	var exactErr error
	if c.exact, exactErr = snapshotIn(exact, r.writesSnapshots); exactErr == nil && exact != "" {
		exactErr = r.amongPolicies(exact)
	}
	if exactErr != nil {
		err = errors.Join(err, fmt.Errorf("expect.exactPod: %w", exactErr))
	}
	c.placed = t.Namespace.Name == "" && (s.sent.pod == nil || s.sent.pod.Namespace == "")
	policies, loadErr := r.cache.load(s.namespace)
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
	return c, nil
}

// subject is the server that a test describes.
func (r *caseReader) subject(t *policyTest) (*subject, error) {
	var problems []error
	s := &subject{namespace: policy.Namespace{Name: t.Namespace.Name, Labels: t.Namespace.Labels}}
	var err error
	if s.sent, err = sentIn(beside(r.file, t.Pod)); err != nil {
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
		files[i] = beside(r.file, c)
	}
	s.claims, err = claimsOf("claims: ", files)
	return s, errors.Join(append(problems, err)...)
}

// run asks the engine, and compares. The error is a failure of ours.
func (c *testCase) run() (testResult, error) {
	began := time.Now()
	r := testResult{File: c.file, Name: c.name}
	err := c.compare(&r)
	r.Took = time.Since(began)
	return r, err
}

func (c *testCase) compare(r *testResult) error {
	result, err := c.fit()
	if err != nil {
		return err
	}
	warnings := c.expect.warningDifferences(result.AllWarnings())
	if len(result.Denials) > 0 || len(c.expect.Denied) > 0 {
		r.Differences = append(c.expect.denials(result.Denials), warnings...)
		return nil
	}
	list, err := listOf(result, c.request.input.Namespace.Name, policy.UserNamespace{})
	if err != nil {
		return err
	}
	items, _ := list["items"].([]any)
	pod, _ := items[0].(map[string]any)
	if c.exact != nil {
		r.pod = c.exact.said(pod)
		r.changed = differences(c.exact.pod, r.pod, podType, true)
	}
	r.Differences = c.expect.podDifferences(pod)
	var claim map[string]any
	if result.Claim != nil {
		claim, _ = items[1].(map[string]any)
	}
	r.Differences = slices.Concat(r.Differences, c.expect.claimDifferences(claim), warnings)
	return nil
}

// fit is what the cluster would answer. Each case has a request of its own, so that cases may run side by side.
func (c *testCase) fit() (*policy.Result, error) {
	if c.placed {
		if denials := c.request.place(); len(denials) > 0 {
			return &policy.Result{Denials: denials}, nil
		}
	}
	if err := c.request.hideEnv(); err != nil {
		return nil, err
	}
	result, err := c.request.apply()
	if result == nil {
		return nil, err
	}
	return result, nil // a denial is a result
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
