package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy"
)

// testFile is what a file *_test.yaml says. The files that it names are relative to it.
type testFile struct {
	// Policies are files and folders, as with -f.
	Policies []string     `json:"policies"`
	Tests    []policyTest `json:"tests"`
}

// policyTest is one server, and what policy should make of it.
type policyTest struct {
	Name      string        `json:"name"`
	Namespace testNamespace `json:"namespace"`
	Identity  testIdentity  `json:"identity"`
	Launcher  string        `json:"launcher"` // NAMESPACE/NAME; empty: one that policy lists
	Pod       string        `json:"pod"`      // file with the pod that is sent; empty: a bare skeleton
	Claims    []string      `json:"claims"`   // files with the claims that exist
	Expect    expectation   `json:"expect"`
}

type testNamespace struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

// testIdentity is policy.Identity as far as a hub decides on it.
type testIdentity struct {
	Hub             string            `json:"hub"` // empty: the only one that the policies name
	User            string            `json:"user"`
	Server          string            `json:"server"`
	UserID          *int64            `json:"userId"`
	Groups          []string          `json:"groups"`
	Profile         string            `json:"profile"`
	Options         map[string]string `json:"options"`
	UserAnnotations map[string]string `json:"userAnnotations"`
	Env             map[string]string `json:"env"`
}

// expectation is what has to be true of the result; what it doesn't speak of may be anything.
type expectation struct {
	Pod      map[string]any `json:"pod"`      // a part of the fitted pod
	ExactPod string         `json:"exactPod"` // file with the whole of it
	Absent   []string       `json:"absent"`   // paths in the pod where nothing stands
	Claim    map[string]any `json:"claim"`    // a part of the home claim
	NoClaim  bool           `json:"noClaim"`
	Denied   []testDenial   `json:"denied"`
	Warnings []string       `json:"warnings"` // each stands in a warning
}

// testDenial fits a denial of that code, with that field and that text in its message, where it says them.
type testDenial struct {
	Code    policy.Code `json:"code"`
	Field   string      `json:"field"`
	Message string      `json:"message"`
}

// fits says whether a denial is meant.
func (d *testDenial) fits(have policy.Denial) bool {
	return d.Code == have.Code && (d.Field == "" || d.Field == have.Field) && strings.Contains(have.Message, d.Message)
}

// String reads as a denial does.
func (d *testDenial) String() string {
	text := "…"
	if d.Message != "" {
		text = "…" + d.Message + "…"
	}
	return denied([]policy.Denial{{Code: d.Code, Field: d.Field, Message: text}}).Error()
}

func isTestFile(name string) bool {
	extension := filepath.Ext(name)
	return slices.Contains(policyExtensions, extension) && strings.HasSuffix(strings.TrimSuffix(name, extension), "_test")
}

// testFilesIn finds the test files of files and folders, each once.
func testFilesIn(names []string) ([]string, error) {
	var files []string
	var problems []error
	for _, name := range names {
		found := 0
		err := walkTests(name, func(path string, isFolder bool) {
			if isFolder || path != filepath.Clean(name) && !isTestFile(path) {
				return
			}
			found++
			if !slices.Contains(files, path) {
				files = append(files, path)
			}
		})
		if err == nil && found == 0 {
			err = fmt.Errorf("%s: no tests: no file there ends in _test.yaml", name)
		}
		problems = append(problems, err)
	}
	return files, errors.Join(problems...)
}

// walkTests visits a file, or a folder and all in it, but for the folders below that are hidden or hold the data of other tests.
func walkTests(name string, visit func(path string, isFolder bool)) error {
	var problems []error
	err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			problems = append(problems, err)
		case path != name && entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return fs.SkipDir
		default:
			visit(filepath.Clean(path), entry.IsDir())
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

// readTestFile reads and checks a file. All that is wrong with it is in the error.
func readTestFile(name string) (*testFile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := &testFile{}
	problems := faultsOf("", policy.DecodeInto(data, f))
	if len(problems) == 0 {
		problems = f.check()
	}
	for i, e := range problems {
		problems[i] = fmt.Errorf("%s: %w", name, e)
	}
	return f, errors.Join(problems...)
}

// underExpect are the fields where a null tempts to say that there is nothing.
var underExpect = regexp.MustCompile(`^tests\[\d+\]\.expect\.(pod|claim)\b`)

// faultsOf writes errors with the path from the file's root.
func faultsOf(root string, list field.ErrorList) []error {
	var errs []error
	for _, e := range list {
		if e.Field == "" {
			errs = append(errs, errors.New(e.Detail))
			continue
		}
		hint := ""
		if part := underExpect.FindStringSubmatch(e.Field); part != nil && strings.HasPrefix(e.Detail, "null ") {
			hint = map[string]string{"pod": "; a path where nothing may stand belongs in absent", "claim": "; that there is no claim is said by noClaim: true"}[part[1]]
		}
		errs = append(errs, fmt.Errorf("%s%s: %s%s", root, e.Field, e.ErrorBody(), hint))
	}
	return errs
}

// beside is the path of a file that a test file names.
func beside(testFile, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(testFile), name)
}

// names are the files and folders that it names.
func (f *testFile) names() []string {
	names := slices.Clone(f.Policies)
	for i := range f.Tests {
		t := &f.Tests[i]
		names = append(append(names, t.Claims...), t.Pod, t.Expect.ExactPod)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

func (f *testFile) check() []error {
	var errs []error
	if len(f.Policies) == 0 {
		errs = append(errs, errors.New("policies: is needed: the files and folders of the policies, relative to this file"))
	}
	if len(f.Tests) == 0 {
		errs = append(errs, errors.New("tests: is needed: nothing is tested"))
	}
	first := map[string]int{}
	for i := range f.Tests {
		t, at := &f.Tests[i], fmt.Sprintf("tests[%d]", i)
		if before, twice := first[t.Name]; twice {
			errs = append(errs, fmt.Errorf("%s.name: is that of tests[%d] already", at, before))
		} else if first[t.Name] = i; t.Name == "" {
			errs = append(errs, fmt.Errorf("%s.name: is needed", at))
		}
		errs = append(errs, t.Expect.check(at+".expect")...)
	}
	return errs
}

// check finds what can't be expected of any result, so that no test passes or fails for the wrong reason.
func (e *expectation) check(at string) []error {
	var errs []error
	fitted := e.Pod != nil || e.ExactPod != "" || len(e.Absent) > 0 || e.Claim != nil || e.NoClaim
	switch {
	case !fitted && len(e.Denied) == 0 && len(e.Warnings) == 0:
		errs = append(errs, fmt.Errorf("%s: expects nothing: say at least one of pod, exactPod, absent, claim, noClaim, denied, warnings", at))
	case len(e.Denied) > 0 && fitted:
		errs = append(errs, fmt.Errorf("%s.denied: a server that is denied has no pod and no claim: leave the other fields out", at))
	case e.Claim != nil && e.NoClaim:
		errs = append(errs, fmt.Errorf("%s.noClaim: a claim is expected beside it", at))
	}
	for i := range e.Denied {
		if code := e.Denied[i].Code; code == "" {
			errs = append(errs, fmt.Errorf("%s.denied[%d].code: is needed: the reason, like %s", at, i, policy.NoPolicy))
		} else if err := code.Known(); err != nil {
			errs = append(errs, fmt.Errorf("%s.denied[%d].code: %w", at, i, err))
		}
	}
	errs = append(errs, checkPart(at+".pod", e.Pod, &corev1.Pod{})...)
	errs = append(errs, checkPart(at+".claim", e.Claim, &corev1.PersistentVolumeClaim{})...)
	for i, text := range e.Absent {
		path, err := parsePath(text)
		if err == nil {
			sample, _ := path.sample(podType).(map[string]any)
			err = errors.Join(checkPart("there is no such path in a pod: ", sample, &corev1.Pod{})...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.absent[%d]: %w", at, i, err))
		}
	}
	return errs
}

var (
	podType   = reflect.TypeFor[corev1.Pod]()
	claimType = reflect.TypeFor[corev1.PersistentVolumeClaim]()
)

// checkPart finds what no object of that type has.
func checkPart(at string, part map[string]any, into any) []error {
	if part == nil {
		return nil
	}
	data, err := json.Marshal(part)
	if err != nil {
		return []error{fmt.Errorf("%s: %w", at, err)}
	}
	root := at
	if !strings.HasSuffix(at, " ") {
		root += "."
	}
	errs := faultsOf(root, policy.DecodeInto(data, into))
	if len(errs) == 0 && root != at {
		errs = nameless(at, part, reflect.TypeOf(into), "")
	}
	return errs
}
