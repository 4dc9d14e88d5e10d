package admission

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// governedMark is the label of a governed namespace.
const governedMark = "slipway.dev/governed"

// governed marks a namespace and waits until the API server refuses a pod there.
func (a *actors) governed(t *testing.T, namespace string) {
	t.Helper()
	r := a.operator.dynamic.Resource(namespaces)
	require.NoError(t, ways["merge patch"](t.Context(), r, namespace, change{labels: map[string]any{governedMark: "true"}}))
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := a.operator.CoreV1().Pods(namespace).Create(t.Context(), plain("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			err = assert.AnError
		} else if strings.Contains(err.Error(), "Slipway NotGoverned: ") {
			return nil
		}
		return err
	}))
}

func TestAGovernedNamespaceTakesOnlyServers(t *testing.T) {
	a := forTest(t)
	ns := a.launchable(t)
	a.governed(t, ns)
	t.Run("a server", func(t *testing.T) {
		_, err := a.Launch(t, ns, nil)
		assert.NoError(t, err)
	})
	t.Run("no empty label, whatever policy says", func(t *testing.T) {
		_, err := a.Launch(t, ns, func(p *corev1.Pod) { p.Labels[policy.LabelHub] = "" })
		assert.ErrorContains(t, err, "Slipway ")
	})
	a.closeGate(t)
	t.Run("no plain pod", func(t *testing.T) {
		_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), plain("plain"), metav1.CreateOptions{})
		requireDenied(t, err, policy.NotGoverned, "account system:serviceaccount:jupyter:operator may create only pods with the label slipway.dev/hub")
	})
	t.Run("no label in other case", func(t *testing.T) {
		pod := plain("plain")
		pod.Labels = map[string]string{"slipway.dev/Hub": "main"}
		_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
		requireDenied(t, err, policy.NotGoverned, "slipway.dev/hub")
	})
	t.Run("no pod of a Deployment", func(t *testing.T) {
		_, err := a.replicaSets.CoreV1().Pods(ns).Create(t.Context(), owned("ReplicaSet"), metav1.CreateOptions{})
		requireDenied(t, err, policy.NotGoverned, "account system:serviceaccount:kube-system:replicaset-controller")
	})
	t.Run("no copy of a server by kubectl debug", func(t *testing.T) {
		_, err := a.Cluster.Kubectl(t.Context(), nil, "debug", world.Alice.Name, "-n", ns, "--copy-to=copy", "--image=busybox", "--attach=false",
			"--as=system:serviceaccount:jupyter:operator")
		assert.ErrorContains(t, err, "Slipway NotGoverned: ")
	})
	t.Run("a pod of a DaemonSet, whose controller is listed", func(t *testing.T) {
		_, err := a.daemonSets.CoreV1().Pods(ns).Create(t.Context(), owned("DaemonSet"), metav1.CreateOptions{})
		assert.NoError(t, err)
	})
	t.Run("pods beside it are free", func(t *testing.T) {
		_, err := a.operator.CoreV1().Pods(a.Namespace(t)).Create(t.Context(), plain("plain"), metav1.CreateOptions{})
		assert.NoError(t, err)
	})
}

// owned is a pod as a controller makes it.
func owned(kind string) *corev1.Pod {
	pod := plain("")
	pod.GenerateName = "owned-"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "owner", UID: "1", Controller: new(true)}}
	return pod
}

func TestOnlyListedAccountsTakeTheMarkOff(t *testing.T) {
	a := forTest(t)
	a.closeGate(t)
	removed, changed := change{labels: map[string]any{governedMark: nil}}, change{labels: map[string]any{governedMark: "false"}}
	for _, subresource := range []string{"", "status", "finalize"} {
		ns := a.Namespace(t)
		a.governed(t, ns)
		r := a.operator.dynamic.Resource(namespaces)
		through := strings.Fields(subresource)
		for name, c := range map[string]change{"removed": removed, "changed": changed} {
			for wayName, way := range ways {
				if wayName == apply && c.removes() || subresource == "finalize" && wayName != "update" { // it takes nothing else
					continue
				}
				t.Run(name+" by "+wayName+" of namespaces "+subresource, func(t *testing.T) {
					err := way(t.Context(), r, ns, c, through...)
					requireDenied(t, err, policy.FieldChanged, "metadata.labels[slipway.dev/governed] of namespace "+ns)
				})
			}
		}
		t.Run("other labels by anybody, of namespaces "+subresource, func(t *testing.T) {
			assert.NoError(t, update(t.Context(), r, ns, change{labels: map[string]any{"tier": "teaching"}}, through...))
		})
		t.Run("the mark by the platform's account, of namespaces "+subresource, func(t *testing.T) {
			assert.NoError(t, update(t.Context(), a.platform.dynamic.Resource(namespaces), ns, removed, through...))
		})
	}
}
