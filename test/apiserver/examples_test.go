package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/examples"
	"github.com/slipway-hub/slipway/test/world"
)

// What the tests of the examples expect of the engine, the API server stores: each of their servers is a skeleton here.
func TestServersOfTheExamplesAreStoredAsTheirTestsSay(t *testing.T) {
	w := world.ForTest(t)
	tests, err := filepath.Glob("../../policy/examples/hooks/*_test.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, tests)
	for _, path := range tests {
		t.Run(strings.TrimSuffix(filepath.Base(path), "_test.yaml"), func(t *testing.T) {
			f, text, err := examples.Read(path)
			require.NoError(t, err)
			for i := range f.Tests {
				makeNamespace(t, w, f.Tests[i].Namespace.Name)
			}
			putDocuments(t, w, text)
			decoded, err := policy.Decode(path, text)
			require.NoError(t, err)
			c := policy.Compile(decoded)
			for i := range f.Tests {
				t.Run(f.Tests[i].Name, func(t *testing.T) { tryExample(t, w, c, &f.Tests[i]) })
			}
		})
	}
}

// makeNamespace makes one by the name that an example says, unless it is there.
func makeNamespace(t *testing.T, w *world.World, name string) {
	t.Helper()
	if err := w.Cluster.CreateNamespace(t.Context(), name, nil); !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	w.SettleNamespace(t, name)
}

// putDocuments creates policies exactly as they are written, and takes them away with the test.
func putDocuments(t *testing.T, w *world.World, text []byte) {
	t.Helper()
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(doc), &object.Object))
		if object.Object == nil {
			continue
		}
		client := w.Policies(object.GetKind(), object.GetNamespace())
		// It may be judged before one that came, or went, a moment ago was seen to.
		require.NoError(t, world.Eventually(t.Context(), func() error {
			_, err := client.Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
			return err
		}))
		t.Cleanup(func() {
			assert.NoError(t, client.Delete(context.WithoutCancel(t.Context()), object.GetName(), metav1.DeleteOptions{}))
		})
	}
	w.Settle(t)
}

func tryExample(t *testing.T, w *world.World, c *policy.Compiled, test *examples.Case) {
	t.Helper()
	changed := relabel(t, w, test.Namespace.Name, test.Namespace.Labels)
	in := test.Input()
	asSecret(&in.Identity)
	result, err := c.Apply(in)
	require.NoError(t, err)
	id := in.Identity
	id.Name = "jupyter-" + id.User
	if result.Pod != nil {
		id.Name = result.Pod.Name
		require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), test.Namespace.Name, cmp.Or(result.Pod.Spec.ServiceAccountName, "default")))
	}
	client := w.Hub
	if strings.HasSuffix(test.Launcher, "/"+world.OtherAccount) {
		client = w.Forger
	}
	if changed {
		w.Namespace(t) // namespaces are read in order: whoever knows this one has read the labels
	}
	require.NoError(t, attempt(t, w, client, launcher.Skeleton(id, test.Namespace.Name), test, result.Pod))
}

// attempt creates the skeleton and says how what comes of it isn't as expected, or not what the engine rendered.
func attempt(t *testing.T, w *world.World, client kubernetes.Interface, skeleton *corev1.Pod, test *examples.Case, rendered *corev1.Pod) error {
	t.Helper()
	pod, err := client.CoreV1().Pods(skeleton.Namespace).Create(t.Context(), skeleton, metav1.CreateOptions{})
	if err != nil {
		denied, ok := errors.AsType[*launcher.Denied](launcher.Explain(err))
		if !ok {
			return err
		}
		return asExpected(examples.DenialDifferences(test.Expect.Denied, denied.Reasons))
	}
	w.Remove(t, pod)
	if len(test.Expect.Denied) > 0 {
		return errors.New("it came through")
	}
	pod = examples.WithoutDefaultTolerations(pod)
	expected, err := examples.Differences(test.Expect.Pod, pod)
	require.NoError(t, err)
	all, err := examples.Differences(rendered.Spec, pod.Spec)
	require.NoError(t, err)
	return asExpected(append(expected, all...))
}

func asExpected(differences []string) error {
	if len(differences) > 0 {
		return fmt.Errorf("%s", strings.Join(differences, "\n"))
	}
	return nil
}

// asSecret hands the hub's environment over as the launcher does.
func asSecret(id *policy.Identity) {
	if len(id.Env) > 0 {
		id.EnvSecret, id.EnvKeys, id.Env = "jupyter-"+id.User+"-env-x7k2m9qa", slices.Sorted(maps.Keys(id.Env)), nil
	}
}

// relabel gives a namespace exactly these labels, beside the API server's own, and says whether it had others.
func relabel(t *testing.T, w *world.World, name string, labels map[string]string) bool {
	t.Helper()
	namespace, err := w.Admin.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	wanted := map[string]string{corev1.LabelMetadataName: name}
	maps.Copy(wanted, labels)
	if maps.Equal(wanted, namespace.Labels) {
		return false
	}
	namespace.Labels = wanted
	_, err = w.Admin.CoreV1().Namespaces().Update(t.Context(), namespace, metav1.UpdateOptions{})
	require.NoError(t, err)
	return true
}
