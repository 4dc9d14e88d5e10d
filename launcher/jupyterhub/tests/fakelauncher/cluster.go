package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// cluster is one namespace in memory.
type cluster struct {
	client  *fake.Clientset
	dynamic dynamic.Interface

	namespace policy.Namespace
	account   string
	engine    *policy.Compiled
	slow      time.Duration
	// versions are the objects' resourceVersions, which client-go's tracker doesn't know.
	versions atomic.Int64
}

func newCluster(ctx context.Context, o *options) (*cluster, error) {
	labels := map[string]string{corev1.LabelMetadataName: o.namespace}
	for pair := range strings.SplitSeq(o.labels, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			labels[key] = value
		}
	}
	objects, err := readPolicies(o.policies, o.namespace)
	if err != nil {
		return nil, err
	}
	policies, unreadable := policy.FromObjects(objects)
	compiled := policy.Compile(policies)
	problems := make([]error, 0, len(compiled.Errors()))
	for _, e := range compiled.Errors() {
		problems = append(problems, e)
	}
	for _, d := range unreadable.In(o.namespace) {
		problems = append(problems, errors.New(d.String()))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("read the policies in %s: %w", o.policies, err)
	}
	c := &cluster{
		client:    fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.namespace, Labels: labels}}),
		namespace: policy.Namespace{Name: o.namespace, Labels: labels}, account: o.account, engine: compiled, slow: o.slow,
	}
	c.dynamic = policyClient(objects)
	c.client.PrependReactor("create", "selfsubjectreviews", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: c.account}}}, nil
	})
	c.client.PrependReactor("create", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		pod, err := c.admit(ctx, a)
		return true, pod, err
	})
	c.client.PrependReactor("create", "secrets", c.stamp)
	c.client.PrependReactor("delete", "pods", c.precondition)
	c.client.PrependReactor("list", "events", c.listEvents)
	return c, nil
}

// readPolicies reads them as an API server has them.
func readPolicies(folder, namespace string) ([]unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for documents := policy.Documents(text); ; {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			object := unstructured.Unstructured{}
			if err := errors.Join(err, yaml.Unmarshal(document, &object.Object)); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			if len(object.Object) == 0 {
				continue
			}
			if object.GetKind() == "SpawnPolicy" && object.GetNamespace() == "" {
				object.SetNamespace(namespace)
			}
			object.SetUID(uuid.NewUUID())
			object.SetGeneration(1)
			all = append(all, object)
		}
	}
	return all, nil
}

func policyClient(objects []unstructured.Unstructured) dynamic.Interface {
	all := make([]runtime.Object, 0, len(objects))
	for i := range objects {
		all = append(all, &objects[i])
	}
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		v1alpha1.GroupVersion.WithResource("clusterspawnpolicies"): "ClusterSpawnPolicyList",
		v1alpha1.GroupVersion.WithResource("spawnpolicies"):        "SpawnPolicyList",
	}, all...)
}

func (c *cluster) version() string { return strconv.FormatInt(c.versions.Add(1), 10) }

// stamp gives an object what an API server does, and lets it pass.
func (c *cluster) stamp(a ktesting.Action) (bool, runtime.Object, error) {
	if create, ok := a.(ktesting.CreateAction); ok {
		if object, ok := create.GetObject().(metav1.Object); ok {
			object.SetUID(uuid.NewUUID())
			object.SetResourceVersion(c.version())
			object.SetCreationTimestamp(metav1.Now())
		}
	}
	return false, nil, nil
}

// objects are what tests look at.
func (c *cluster) objects(ctx context.Context) (map[string]any, error) {
	pods, podErr := c.client.CoreV1().Pods(c.namespace.Name).List(ctx, metav1.ListOptions{})
	secrets, secretErr := c.client.CoreV1().Secrets(c.namespace.Name).List(ctx, metav1.ListOptions{})
	claims, claimErr := c.client.CoreV1().PersistentVolumeClaims(c.namespace.Name).List(ctx, metav1.ListOptions{})
	if err := errors.Join(podErr, secretErr, claimErr); err != nil {
		return nil, err
	}
	return map[string]any{
		"pods": append([]corev1.Pod{}, pods.Items...), "secrets": append([]corev1.Secret{}, secrets.Items...), "claims": append([]corev1.PersistentVolumeClaim{}, claims.Items...),
	}, nil
}
