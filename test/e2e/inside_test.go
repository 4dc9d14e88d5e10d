//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// report is what test/images/notebook says of its container.
type report struct {
	UID, GID              int
	Env                   map[string]string
	Mounts                []mount
	MemoryLimit, CPULimit int64 // bytes and millicores, of its cgroup
}

type mount struct {
	Path     string
	ReadOnly bool
}

// launch starts a user's server in the course as the hub does, and waits until it runs.
func (s *stage) launch(t *testing.T, user string) *corev1.Pod {
	t.Helper()
	id := policy.Identity{Name: "jupyter-" + user, Hub: hubName, User: user}
	pod, err := launcher.Launch(t.Context(), s.hub(t), id, courseNamespace, launcher.Options{
		Until:    launcher.UntilRunning,
		Progress: func(p launcher.Progress) { t.Log(p.Message) },
	})
	require.NoError(t, err)
	return pod
}

// look asks the server, from outside, what it sees inside of its container.
func (s *stage) look(t *testing.T, pod *corev1.Pod) report {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: s.DialContext, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(pod.Status.PodIP, "8888")+"/", http.NoBody)
	require.NoError(t, err)
	var response *http.Response
	// A container without a readiness probe counts as ready before its program listens.
	eventually(t, pod.Name+" answers", func(context.Context) (err error) {
		response, err = client.Do(request) //nolint:bodyclose // below, where there is one
		return err
	})
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var got report
	require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
	return got
}

// requirePolicyInside compares what the container sees with what testdata/policies.yaml says.
func (s *stage) requirePolicyInside(t *testing.T, pod *corev1.Pod, user string) {
	t.Helper()
	got := s.look(t, pod)
	const mebi = 1 << 20
	assert.Equal(t, 1000, got.UID, "uid")
	assert.Equal(t, 100, got.GID, "gid")
	assert.Equal(t, user+"-101", got.Env["COURSE"], "a setting of the namespace, with its template filled in")
	assert.Equal(t, "e2e", got.Env["COLLEGE"], "a setting that the cluster enforces")
	assert.EqualValues(t, 96*mebi, got.MemoryLimit, "memory limit of the cgroup")
	assert.EqualValues(t, 250, got.CPULimit, "CPU limit of the cgroup")
	mounts := map[string]bool{}
	for _, m := range got.Mounts {
		mounts[m.Path] = m.ReadOnly
	}
	assert.Contains(t, mounts, "/home/jovyan")
	assert.True(t, mounts["/etc/course"], "mounted, and read-only")
	assert.NotContains(t, mounts, "/var/run/secrets/kubernetes.io/serviceaccount", "no token")
}
