package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

// snapshot is a file with a whole pod, by itself or first in a List, as render prints it.
type snapshot struct {
	file string
	// pod is what stands in it; nil where there is no such file.
	pod map[string]any
	// list is the List around the pod; nil where the pod stands by itself.
	list *podList
}

type podList struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Items      []map[string]any `json:"items"`
}

// snapshotIn reads a file; without a name there is none. mayLack: it need not be there yet.
func snapshotIn(file string, mayLack bool) (*snapshot, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no file, no snapshot
	}
	s := &snapshot{file: file}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if mayLack {
			return s, nil
		}
		return nil, fmt.Errorf("%w: write it with --update", err)
	}
	if err != nil {
		return nil, err
	}
	var list podList
	if errs := policy.DecodeInto(data, &list); len(errs) == 0 && list.Kind == "List" && len(list.Items) > 0 {
		s.list = &list
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
	s.pod, err = runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	delete(s.pod, "status")
	return s, err
}

// said leaves out of a pod what the file may leave out: the namespace, which the test names, and which policies made it, whose hash is
// another after every change of them.
func (s *snapshot) said(pod map[string]any) map[string]any {
	pod = runtime.DeepCopyJSON(pod)
	meta, _ := pod["metadata"].(map[string]any)
	saidMeta, _ := s.pod["metadata"].(map[string]any)
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

// write puts another pod into the file. What else is in a List stays.
func (s *snapshot) write(pod map[string]any) error {
	var content any = pod
	if s.list != nil {
		content = podList{s.list.APIVersion, s.list.Kind, slices.Concat([]map[string]any{pod}, s.list.Items[1:])}
	}
	encode := yaml.Marshal
	if filepath.Ext(s.file) == ".json" {
		encode = encodeJSON
	}
	text, err := encode(content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil { //nolint:gosec // a folder of a repository, as git makes them
		return err
	}
	return os.WriteFile(s.file, text, 0o644) //nolint:gosec // the same
}

// updateSnapshots writes the snapshots of the cases that found another pod there, or no file, and gives their names. A pod that several
// cases expect has to be the same for all of them: else the file would be right for one after the other.
func updateSnapshots(cases []testCase, results []testResult) ([]string, error) {
	var problems []error
	first := map[string]int{}
	for i := range cases {
		if results[i].pod == nil {
			continue
		}
		file := cases[i].exact.file
		before, has := first[file]
		if !has {
			first[file] = i
		} else if !reflect.DeepEqual(results[before].pod, results[i].pod) {
			problems = append(problems, fmt.Errorf("%s: expected by test %q of %s and by test %q of %s, whose pods differ: give each a file of its own",
				file, cases[before].name, cases[before].file, cases[i].name, cases[i].file))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, invalid(err)
	}
	var written []string
	for i := range cases {
		if len(results[i].changed) == 0 || slices.Contains(written, cases[i].exact.file) {
			continue
		}
		if err := cases[i].exact.write(results[i].pod); err != nil {
			return written, failed(fmt.Errorf("write the snapshot: %w", err))
		}
		written = append(written, cases[i].exact.file)
	}
	return written, nil
}
