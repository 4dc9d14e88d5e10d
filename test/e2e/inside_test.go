//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/images/notebook/inside"
)

// launch starts a user's server in the course as the hub does, and waits until it runs.
func (s *stage) launch(t *testing.T, user string) *corev1.Pod {
	t.Helper()
	id := policy.Identity{Name: "jupyter-" + user, Hub: hubName, User: user}
	pod, err := launcher.Launch(t.Context(), s.hub(t), id, courseNamespace, launcher.Options{
		Until:    launcher.Running,
		Progress: func(p launcher.Progress) { t.Log(p.Message) },
	})
	require.NoError(t, err)
	return pod
}

// look asks the server, from outside, what it sees inside of its container.
func look(t *testing.T, pod *corev1.Pod) inside.Report {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(pod.Status.PodIP, "8888")+"/", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var report inside.Report
	require.NoError(t, json.NewDecoder(response.Body).Decode(&report))
	return report
}

// requirePolicyInside compares what the container sees with what testdata/policies.yaml says.
func requirePolicyInside(t *testing.T, user string, got inside.Report) {
	t.Helper()
	const mebi = 1 << 20
	assert.Equal(t, 1000, got.UID, "uid")
	assert.Equal(t, 100, got.GID, "gid")
	assert.Equal(t, fmt.Sprintf("%s-101", user), got.Env["COURSE"], "a setting of the namespace, with its template filled in")
	assert.Equal(t, "e2e", got.Env["COLLEGE"], "a setting that the cluster enforces")
	assert.NotContains(t, got.Env, "JUPYTERHUB_API_TOKEN", "the hub passed nothing")
	assert.EqualValues(t, 96*mebi, got.MemoryLimitBytes, "memory limit of the cgroup")
	assert.InDelta(t, 0.25, got.CPULimit, 0.001, "CPU limit of the cgroup, in processors")
	assert.Contains(t, got.Mounts, "/home/jovyan")
	assert.Contains(t, got.Mounts, "/etc/course")
	assert.Equal(t, "read this", got.Files["/etc/course/motto"])
	assert.NotContains(t, got.Mounts, "/var/run/secrets/kubernetes.io/serviceaccount", "no token")
	assert.True(t, got.NoNewPrivileges, "allowPrivilegeEscalation: false")
}
