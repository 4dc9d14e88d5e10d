//go:build e2e

package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lookInside is a cell that prints what policy is to have made of the server, and leaves nothing: it may run more than once.
const lookInside = `import json, os
from pathlib import Path

limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
print(json.dumps({
    "uid": os.getuid(),
    "env": {name: os.environ.get(name) for name in ("COURSE", "COLLEGE", "LANGUAGE", "JUPYTERHUB_USER")},
    "memory": next(int(Path(limit).read_text()) for limit in limits if Path(limit).exists()),
    "motto": Path("/etc/course/motto").read_text().strip(),
    "notes": [file.read_text() for file in Path.home().glob("notes.txt")],
}))`

// inside is what the cell prints.
type inside struct {
	UID    int               `json:"uid"`
	Env    map[string]string `json:"env"`
	Memory int64             `json:"memory"` // bytes
	Motto  string            `json:"motto"`
	Notes  []string          `json:"notes"`
}

// TestHubServesPeople is the story of a hub with our plugin and those who use it in their browsers.
func TestHubServesPeople(t *testing.T) {
	const namespace = "people"
	s := onStage(t)
	h := s.newHub(t, namespace)
	s.installForHub(t, namespace)
	h.runHub(t, slipwaySpawner)
	h.kubectl(t, "", "create", "configmap", "course", "--namespace", namespace, "--from-literal=motto=read this")
	for _, chapter := range []struct {
		name string
		tell func(*jupyterHub, *testing.T)
	}{
		{"alice chooses from the profiles, and her server is as policy says", (*jupyterHub).aliceStarts},
		{"bob isn't offered what is for others, and is told so when he insists", (*jupyterHub).bobIsDenied},
		{"a hub that is restarted loses nobody's server", (*jupyterHub).hubRestarts},
		{"alice finds her file after a stop and a start", (*jupyterHub).aliceComesBack},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(h, t) }) {
			break
		}
	}
}

func (h *jupyterHub) aliceStarts(t *testing.T) {
	t.Helper()
	h.do(t, "alice", "log_in", step{"password": hubPassword})
	offered := h.do(t, "alice", "form", step{"picture": "form"})
	course := map[string][]string{"memory": {"less", "more"}, "language": {"de", "en"}}
	assert.Equal(t, map[string]map[string][]string{"course": course, "staff": {}}, offered.Profiles)

	started := h.do(t, "alice", "start", step{
		"profile": "course", "options": step{"memory": "more", "language": "de"}, "picture": "progress",
	})
	require.Empty(t, started.Refused)
	assert.Contains(t, started.URL, "/user/alice/lab")
	t.Logf("alice saw: %q", started.Progress)
	assertProgress(t, started.Progress, "alice")

	const mebi = 1 << 20
	got := h.lookInside(t, "alice", "cell")
	assert.Equal(t, inside{
		UID:    1234,
		Env:    map[string]string{"COURSE": "alice-101", "COLLEGE": "e2e", "LANGUAGE": "de", "JUPYTERHUB_USER": "alice"},
		Memory: 512 * mebi,
		Motto:  "read this",
		Notes:  []string{},
	}, got)
	h.takeNote(t, "alice", h.pods(t)["alice"])
}

// assertProgress checks what a user was told while the server started: the hub's first and last word, and the launcher's between. The kubelet's last Events may come later than the server.
func assertProgress(t *testing.T, told []string, user string) {
	t.Helper()
	require.GreaterOrEqual(t, len(told), 3)
	last := len(told) - 1
	assert.Equal(t, "Server requested", told[0])
	assert.Equal(t, "Server ready at /user/"+user+"/", told[last])
	between := strings.Join(told[1:last], "\n")
	assert.Contains(t, between, "Policy admitted pod jupyter-"+user)
	assert.Contains(t, between, "Successfully assigned")
}

// takeNote leaves a file in a user's home. What it says is nobody else's, so that no other home can be taken for this one.
func (h *jupyterHub) takeNote(t *testing.T, user, note string) {
	t.Helper()
	require.NotEmpty(t, note)
	code := "from pathlib import Path; print(Path.home().joinpath('notes.txt').write_text('" + note + "'))"
	assert.Equal(t, strconv.Itoa(len(note)), h.do(t, user, "run", step{"code": code}).Printed)
}

// lookInside runs the cell in a user's JupyterLab.
func (h *jupyterHub) lookInside(t *testing.T, user, picture string) inside {
	t.Helper()
	printed := h.do(t, user, "run", step{"code": lookInside, "picture": picture}).Printed
	var got inside
	require.NoError(t, json.Unmarshal([]byte(printed), &got), "printed: %s", printed)
	return got
}

func (h *jupyterHub) bobIsDenied(t *testing.T) {
	t.Helper()
	h.do(t, "bob", "log_in", step{"password": hubPassword})
	offered := h.do(t, "bob", "form", nil)
	assert.Contains(t, offered.Profiles, "course")
	assert.NotContains(t, offered.Profiles, "staff")
	assert.NotContains(t, offered.Text, "Staff only")

	denied := h.do(t, "bob", "forge", step{"fields": step{"profile": "staff"}, "picture": "denial"})
	assert.Equal(t, `Error: Slipway ProfileNotAllowed: SpawnPolicy people/people: spec.profiles[1]: user "bob" may not choose profile "staff"`, denied.Refused)
	pods, err := h.admin.CoreV1().Pods(h.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "hub.jupyter.org/username=bob"})
	require.NoError(t, err)
	assert.Empty(t, pods.Items)

	started := h.do(t, "bob", "start", step{"profile": "course"})
	require.Empty(t, started.Refused, "what he is offered he gets")
}

func (h *jupyterHub) hubRestarts(t *testing.T) {
	t.Helper()
	before := h.pods(t)
	require.Len(t, before, 2)
	h.restart(t)
	for _, user := range []string{"alice", "bob"} {
		assert.Equal(t, user, h.lookInside(t, user, "").Env["JUPYTERHUB_USER"])
		assert.Contains(t, h.do(t, user, "visit", step{"path": "/hub/home"}).Text, "Stop My Server")
	}
	assert.Equal(t, before, h.pods(t))
}

func (h *jupyterHub) aliceComesBack(t *testing.T) {
	t.Helper()
	first := h.pods(t)["alice"]
	h.stopAndStart(t, "alice", step{"profile": "course"})
	assert.Equal(t, []string{first}, h.lookInside(t, "alice", "").Notes)
}
