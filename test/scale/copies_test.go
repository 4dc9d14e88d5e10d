//go:build scale

package scale

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	slipway "github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/fleet"
)

// registry is where etcd has the servers' pods.
const registry = "/registry/pods/" + fleet.Namespace + "/"

// copy makes the servers from the number on that isn't started by the launcher: their pods are the first one's, which the webhook
// fitted and which runs, with other names, and they are put where the API server has its own. A thousand of them take a second
// instead of minutes, and to a launcher they look the same.
func (m *measurement) copy(ctx context.Context, from, to int) error {
	first, err := m.Cluster.Stored(ctx, registry+podName(0))
	if err != nil {
		return err
	}
	codec := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	var entries []kube.Entry
	for i := from; i < to; i++ {
		var pod corev1.Pod
		if _, _, err := codec.Decode(first.Value, nil, &pod); err != nil {
			return fmt.Errorf("decode a pod of etcd: %w", err)
		}
		rename(&pod, i)
		var value bytes.Buffer
		if err := scheme.Codecs.EncoderForVersion(codec, corev1.SchemeGroupVersion).Encode(&pod, &value); err != nil {
			return fmt.Errorf("encode a pod for etcd: %w", err)
		}
		entries = append(entries, kube.Entry{Key: []byte(registry + pod.Name), Value: value.Bytes()})
	}
	return m.Cluster.Store(ctx, entries)
}

func podName(i int) string { return "jupyter-" + user(i) }

// rename makes the pod of the first user another's.
func rename(pod *corev1.Pod, i int) {
	pod.Name, pod.UID = podName(i), types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	pod.Labels[slipway.LabelUsername] = slipway.LabelSlug(user(i))
	for _, texts := range []map[string]string{pod.Labels, pod.Annotations} {
		for key, value := range texts {
			texts[key] = strings.ReplaceAll(value, user(0), user(i))
		}
	}
	for c := range pod.Spec.Containers {
		for e := range pod.Spec.Containers[c].Env {
			if from := pod.Spec.Containers[c].Env[e].ValueFrom; from != nil && from.SecretKeyRef != nil {
				from.SecretKeyRef.Name = strings.ReplaceAll(from.SecretKeyRef.Name, user(0), user(i))
			}
		}
	}
	// The addresses that kwok gives don't get that far.
	pod.Status.PodIP = fmt.Sprintf("127.100.%d.%d", i/250, i%250+1)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
}

// copies makes the rest of the servers.
func (m *measurement) copies(t *testing.T) {
	t.Helper()
	if *launched < *servers {
		require.NoError(t, m.copy(t.Context(), *launched, *servers))
		m.awaitRunning(t, *servers)
	}
	used, err := m.launcher.Usage()
	require.NoError(t, err)
	m.memory("launcher's memory with all servers", used.RSS)
	m.bounded("launcher's most memory until then", mebibytes(used.Peak), "MiB", memoryGoal)
}
