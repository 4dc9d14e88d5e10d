package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/examples"
	"github.com/slipway-hub/slipway/test/world"
)

// What the tests of the examples expect of the engine, the API server stores: each of their servers is a skeleton here, or the pod
// that a hub of its own mind sends.
func TestServersOfTheExamplesAreStoredAsTheirTestsSay(t *testing.T) {
	w := world.ForTest(t)
	tests, err := examples.Files(exampleFolder)
	require.NoError(t, err)
	require.NotEmpty(t, tests)
	for _, path := range tests {
		name, err := filepath.Rel(exampleFolder, strings.TrimSuffix(path, "_test.yaml"))
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			f, text, err := examples.Read(path)
			require.NoError(t, err)
			decoded, err := policy.Decode(path, text)
			require.NoError(t, err)
			for i := range f.Tests {
				makeNamespace(t, w, f.Tests[i].Namespace.Name)
			}
			for i := range decoded.Namespaced {
				makeNamespace(t, w, decoded.Namespaced[i].Namespace)
			}
			applyFiles(t, w, f.Policies)
			c := policy.Compile(decoded)
			for i := range f.Tests {
				t.Run(f.Tests[i].Name, func(t *testing.T) { tryExample(t, w, c, &f.Tests[i]) })
			}
		})
	}
}

// What stands beside policies for the cluster, such as quotas and shares, is applied too.
func TestTheAPIServerTakesWhatExamplesWantOfTheCluster(t *testing.T) {
	w := world.ForTest(t)
	folders, err := filepath.Glob(exampleFolder + "/*/cluster")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		policies, err := filepath.Glob(filepath.Dir(folder) + "/*.yaml")
		require.NoError(t, err)
		for _, path := range policies {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			decoded, err := policy.Decode(path, text)
			require.NoError(t, err)
			for i := range decoded.Namespaced {
				makeNamespace(t, w, decoded.Namespaced[i].Namespace)
			}
		}
		_, err = w.Cluster.Kubectl(t.Context(), nil, "apply", "--dry-run=server", "--validate=strict", "-f", folder)
		assert.NoError(t, err)
	}
}

const exampleFolder = "../../policy/examples"

// makeNamespace makes one by the name that an example says, unless it is there.
func makeNamespace(t *testing.T, w *world.World, name string) {
	t.Helper()
	if err := w.Cluster.CreateNamespace(t.Context(), name, nil); !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	w.SettleNamespace(t, name)
}

// applyFiles does with policies what a user does: kubectl apply, and wait until they are Ready. They go away with the test.
func applyFiles(t *testing.T, w *world.World, files []string) {
	t.Helper()
	var args []string
	for _, file := range files {
		args = append(args, "-f", file)
	}
	t.Cleanup(func() {
		_, err := w.Cluster.Kubectl(context.WithoutCancel(t.Context()), nil, append([]string{"delete", "--ignore-not-found"}, args...)...)
		assert.NoError(t, err)
	})
	// They may be judged before ones that came, or went, a moment ago were seen to.
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := w.Cluster.Kubectl(t.Context(), nil, append([]string{"apply"}, args...)...)
		return err
	}))
	_, err := w.Cluster.Kubectl(t.Context(), nil, append([]string{"wait", "--for=condition=Ready", "--timeout=30s"}, args...)...)
	require.NoError(t, err)
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
	names, _ := c.Names(in) // where there are none, that is one of the denials
	id.Name = cmp.Or(names.Pod, "jupyter-"+id.User)
	account := "default"
	if result.Pod != nil {
		account = cmp.Or(result.Pod.Spec.ServiceAccountName, account)
	} else if test.Sent != nil {
		account = cmp.Or(test.Sent.Spec.ServiceAccountName, account)
	}
	require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), test.Namespace.Name, account))
	pod := test.Sent
	if pod == nil {
		pod = launcher.Skeleton(id, test.Namespace.Name)
	}
	if changed {
		w.Namespace(t) // namespaces are read in order: whoever knows this one has read the labels
	}
	require.NoError(t, attempt(t, w, clientOf(t, w, test.Launcher), pod, test, result.Pod))
}

// clientOf is that of an account, NAMESPACE/NAME or empty for the hub's. One that the world has no token of may do anything, so that
// policy alone is in its way.
func clientOf(t *testing.T, w *world.World, account string) kubernetes.Interface {
	t.Helper()
	switch account {
	case "", world.HubNamespace + "/" + world.HubAccount:
		return w.Hub
	case world.HubNamespace + "/" + world.OtherAccount:
		return w.Forger
	}
	namespace, name, _ := strings.Cut(account, "/")
	config := rest.CopyConfig(w.Cluster.Config())
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + namespace + ":" + name, Groups: []string{"system:masters"}}
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}

// attempt creates the pod and says how what comes of it isn't as expected, or not what the engine rendered.
func attempt(t *testing.T, w *world.World, client kubernetes.Interface, sent *corev1.Pod, test *examples.Case, rendered *corev1.Pod) error {
	t.Helper()
	pod, err := client.CoreV1().Pods(sent.Namespace).Create(t.Context(), sent, metav1.CreateOptions{})
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
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod")) // the client takes it away
	var all []string
	for _, part := range []struct{ want, got any }{
		{test.Expect.Pod, pod}, {test.Expect.Rendered, pod}, {rendered.Labels, pod.Labels}, {rendered.Spec, pod.Spec},
	} {
		if part.want == nil {
			continue
		}
		differ, err := examples.Differences(part.want, part.got)
		require.NoError(t, err)
		all = append(all, differ...)
	}
	return asExpected(all)
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
