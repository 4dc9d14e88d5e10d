package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

// diffServer is one server that is compared: a pod that runs, or one that a test describes.
type diffServer struct {
	input policy.Input
	live  *corev1.Pod // nil for a test's
	test  string
	// placed: nobody says the namespace, so the server goes where policy has it.
	placed bool
}

// name is what a person knows the server by.
func (s *diffServer) name() string {
	if s.live == nil {
		return s.test
	}
	return s.live.Namespace + "/" + s.live.Name
}

// surroundings are the pods that are compared, and what is known around them.
type surroundings struct {
	pods       []corev1.Pod
	namespaces map[string]map[string]string // labels
	claims     map[string][]metav1.PartialObjectMetadata
	// hasClaims: claims were looked for. Otherwise those that a pod uses are all that is known.
	hasClaims bool
}

// servers are those that the flags choose.
func (f *diffFlags) servers(ctx context.Context, in io.Reader) ([]diffServer, error) {
	if len(f.tests) > 0 {
		return f.serversOfTests()
	}
	var found *surroundings
	var err error
	if len(f.pods) > 0 {
		if found, err = surroundingsIn(f.pods, in); err != nil {
			return nil, invalid(err)
		}
	} else if found, err = f.surroundingsOfCluster(ctx); err != nil {
		return nil, err
	}
	var servers []diffServer
	for i := range found.pods {
		pod := &found.pods[i]
		if f.chooses(pod) {
			servers = append(servers, diffServer{input: found.input(pod), live: pod})
		}
	}
	return servers, nil
}

// chooses: a pod that ends, or has ended, is nobody's server any more.
func (f *diffFlags) chooses(pod *corev1.Pod) bool {
	hub, labelled := pod.Labels[policy.LabelHub]
	return labelled && pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed &&
		f.choosesNamed(pod.Namespace, hub, pod.Annotations[policy.AnnotationUsername])
}

func (f *diffFlags) choosesNamed(namespace, hub, user string) bool {
	return (f.namespace == "" || namespace == f.namespace) && (f.hub == "" || hub == f.hub) && (f.user == "" || user == f.user)
}

// input is what the engine is asked about a pod.
func (s *surroundings) input(pod *corev1.Pod) policy.Input {
	in := runningInput(pod)
	in.Namespace.Labels = s.namespaces[pod.Namespace]
	in.Claims = policy.ClaimList(s.claims[pod.Namespace])
	if !s.hasClaims {
		in.Claims = policy.ClaimList(usedClaims(pod))
	}
	return in
}

// usedClaims are the claims of which a pod's policy chose the name: they are there, and this server's.
func usedClaims(pod *corev1.Pod) []metav1.PartialObjectMetadata {
	var claims []metav1.PartialObjectMetadata
	for key, name := range policy.ChosenClaims(pod) {
		c := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: pod.Namespace, Labels: map[string]string{
			policy.LabelHub: pod.Labels[policy.LabelHub],
		}, Annotations: map[string]string{
			policy.AnnotationUsername: pod.Annotations[policy.AnnotationUsername], policy.AnnotationServername: pod.Annotations[policy.AnnotationServername],
		}}}
		if key != "" {
			c.Labels[policy.LabelClaim] = key
		}
		claims = append(claims, c)
	}
	return claims
}

// pageSize is how many objects the API server sends at a time.
const pageSize = 500

func (f *diffFlags) surroundingsOfCluster(ctx context.Context) (*surroundings, error) {
	c, err := clusterClient()
	if err != nil {
		return nil, err
	}
	s := &surroundings{namespaces: map[string]map[string]string{}, claims: map[string][]metav1.PartialObjectMetadata{}, hasClaims: true}
	of := client.HasLabels{policy.LabelHub}
	var pods corev1.PodList
	if err := pages(ctx, c, &pods, func() { s.pods = append(s.pods, pods.Items...) }, client.InNamespace(f.namespace), of); err != nil {
		return nil, failed(fmt.Errorf("list the pods of hubs: %w", err))
	}
	var claims metav1.PartialObjectMetadataList
	claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
	take := func() {
		for i := range claims.Items {
			namespace := claims.Items[i].Namespace
			s.claims[namespace] = append(s.claims[namespace], claims.Items[i])
		}
	}
	if err := pages(ctx, c, &claims, take, client.InNamespace(f.namespace)); err != nil {
		return nil, failed(fmt.Errorf("list the claims: %w", err))
	}
	namespaces := sets.New[string]()
	for i := range s.pods {
		namespaces.Insert(s.pods[i].Namespace)
	}
	for name := range namespaces {
		if s.namespaces[name], err = labelsOfNamespace(ctx, name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func pages(ctx context.Context, c client.Client, list client.ObjectList, take func(), options ...client.ListOption) error {
	for next := ""; ; {
		if err := c.List(ctx, list, append(options, client.Limit(pageSize), client.Continue(next))...); err != nil {
			return err
		}
		take()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// surroundingsIn reads what kubectl get prints: pods, and namespaces and claims where they are there. All errors are in the one.
func surroundingsIn(files []string, in io.Reader) (*surroundings, error) {
	s := &surroundings{namespaces: map[string]map[string]string{}, claims: map[string][]metav1.PartialObjectMetadata{}}
	var problems []error
	for _, name := range files {
		documents, err := documentsOf(name, in)
		if err != nil {
			problems = append(problems, fmt.Errorf("--pods: %w", err))
		}
		for _, d := range documents {
			if err := s.read(d.data); err != nil {
				problems = append(problems, fmt.Errorf("--pods %s: %w", d.name, err))
			}
		}
	}
	return s, errors.Join(problems...)
}

func (s *surroundings) read(data []byte) error {
	documents := policy.Documents(data)
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var object map[string]any
		if err := yaml.Unmarshal(document, &object); err != nil {
			return err
		}
		items, isList := object["items"].([]any)
		if !isList && len(object) > 0 {
			items = []any{object}
		}
		kind, _ := object["kind"].(string)
		for _, item := range items {
			if err := s.take(item, strings.TrimSuffix(kind, "List")); err != nil {
				return err
			}
		}
	}
}

// take takes one object. kind is what it is where it doesn't say so itself, as in a PodList.
func (s *surroundings) take(item any, kind string) error {
	object, ok := item.(map[string]any)
	if !ok {
		return errors.New("holds a list of what are no objects")
	}
	if own, says := object["kind"].(string); says {
		kind = own
	}
	decode := func(into any) error { return runtime.DefaultUnstructuredConverter.FromUnstructured(object, into) }
	switch kind {
	case "Pod":
		var pod corev1.Pod
		if err := decode(&pod); err != nil {
			return fmt.Errorf("holds a pod that can't be read: %w", err)
		}
		if pod.Namespace == "" {
			pod.Namespace = defaultNamespace
		}
		s.pods = append(s.pods, pod)
		return nil
	case "PersistentVolumeClaim", "Namespace":
		var m metav1.PartialObjectMetadata
		if err := decode(&m); err != nil {
			return fmt.Errorf("holds a %s that can't be read: %w", kind, err)
		}
		if kind == "Namespace" {
			s.namespaces[m.Name] = m.Labels
			return nil
		}
		s.claims[m.Namespace] = append(s.claims[m.Namespace], m)
		s.hasClaims = true
		return nil
	}
	return fmt.Errorf("holds a %q: only Pods, PersistentVolumeClaims and Namespaces belong here", kind)
}

// serversOfTests are those that policy tests describe.
func (f *diffFlags) serversOfTests() ([]diffServer, error) {
	files, err := testFilesIn(f.tests)
	if err != nil {
		return nil, invalid(err)
	}
	var servers []diffServer
	var problems []error
	for _, name := range files {
		file, err := readTestFile(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		reader := caseReader{file: name}
		for i := range file.Tests {
			s, err := reader.subject(&file.Tests[i])
			for _, e := range eachError(err) {
				problems = append(problems, fmt.Errorf("%s: tests[%d].%w", name, i, e))
			}
			if err != nil || !f.choosesNamed(s.namespace.Name, s.identity.Hub, s.identity.User) {
				continue
			}
			placed := file.Tests[i].Namespace.Name == "" && (s.sent.pod == nil || s.sent.pod.Namespace == "")
			servers = append(servers, diffServer{input: s.input(), test: name + ": " + file.Tests[i].Name, placed: placed})
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, invalid(err)
	}
	return servers, nil
}
