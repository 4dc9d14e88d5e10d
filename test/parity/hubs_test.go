package parity

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// hubFolder holds real hubs: NAME.yaml, NAME.traits.json and NAME.pods.jsonl, as its README says.
func hubFolder() string {
	if folder := os.Getenv("SLIPWAY_CONFIGS"); folder != "" {
		return folder
	}
	return filepath.Join("..", "..", "..", "shared", "configs")
}

// realHub is one of them.
type realHub struct {
	name     string
	values   string
	settings map[string]any
	servers  []realServer
}

// realServer is what the real KubeSpawner once made for a user of that hub.
type realServer struct {
	User    string            `json:"user"`
	Server  string            `json:"server"`
	Options map[string]string `json:"options"`
	Pod     json.RawMessage   `json:"pod"`
	Claim   json.RawMessage   `json:"claim"`
	// Error is "TYPE: MESSAGE" where there is no pod.
	Error string `json:"error"`
}

func realHubs(t *testing.T) []realHub {
	t.Helper()
	folder := hubFolder()
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("parity: NOT COMPARED WITH REAL HUBS: there is no folder %s; set SLIPWAY_CONFIGS to one that has them", folder)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.traits.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no NAME.traits.json in %s", folder)
	hubs := make([]realHub, len(files))
	for i, file := range files {
		stem := strings.TrimSuffix(file, ".traits.json")
		hubs[i] = realHub{name: filepath.Base(stem), values: stem + ".yaml", servers: realServers(t, stem+".pods.jsonl")}
		var content struct {
			Traits map[string]any `json:"traits"`
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		require.NoError(t, d.Decode(&content), file)
		hubs[i].settings = content.Traits
	}
	return hubs
}

func realServers(t *testing.T, file string) []realServer {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var servers []realServer
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s realServer
		require.NoError(t, json.Unmarshal(lines.Bytes(), &s), file)
		servers = append(servers, s)
	}
	require.NoError(t, lines.Err(), file)
	return servers
}

// server is the case of one recorded server. A Python function has no JSON: hooks are left out, since they don't
// run here, and an initContainer that was a Python object is taken from the recorded pod, so that everything
// else can be compared.
func (h *realHub) server(t *testing.T, s realServer) Case {
	t.Helper()
	settings := map[string]any{}
	for name, value := range h.settings {
		if !isFunction(value) {
			settings[name] = value
		}
	}
	if list, ok := settings["init_containers"].([]any); ok && !isNull(s.Pod) {
		var pod struct {
			Spec struct {
				InitContainers []any `json:"initContainers"`
			} `json:"spec"`
		}
		require.NoError(t, json.Unmarshal(s.Pod, &pod))
		replaced := make([]any, len(list))
		for i, item := range list {
			replaced[i] = item
			if isFunction(item) {
				replaced[i] = pod.Spec.InitContainers[i]
			}
		}
		settings["init_containers"] = replaced
	}
	return Case{User: s.User, Server: s.Server, Options: s.Options, Settings: settings}
}

func isFunction(v any) bool {
	m, ok := v.(map[string]any)
	_, has := m["$callable"]
	return ok && has
}

// recorded is the answer that the file holds; names, which it doesn't hold, are the oracle's.
func (s *realServer) recorded(t *testing.T, oracle Answer) Answer {
	t.Helper()
	if s.Error != "" {
		kind, message, _ := strings.Cut(s.Error, ": ")
		return Answer{Error: &RaisedError{Type: kind, Message: message}, Names: oracle.Names}
	}
	answer := Answer{Pod: s.Pod, Claim: s.Claim, Names: oracle.Names, HubEnv: map[string]string{}}
	pod, err := read[corev1.Pod](s.Pod)
	require.NoError(t, err)
	for _, v := range pod.Spec.Containers[0].Env {
		if _, given := oracle.HubEnv[v.Name]; given {
			answer.HubEnv[v.Name] = v.Value
		}
	}
	return answer
}

// The oracle is only worth something if it makes the very pods that were recorded elsewhere.
func TestOracleMakesTheRecordedPods(t *testing.T) {
	oracle := ForTest(t)
	var figures tally
	for _, h := range realHubs(t) {
		t.Run(h.name, func(t *testing.T) {
			for _, s := range h.servers {
				c := h.server(t, s)
				answer, err := oracle.Ask(c)
				require.NoError(t, err)
				figures.count(report(t, c, differsFromRecord(t, s, answer)))
			}
		})
	}
	figures.print(t, "the oracle itself, recorded servers")
}

func differsFromRecord(t *testing.T, s realServer, answer Answer) []string {
	t.Helper()
	if s.Error != "" || answer.Error != nil {
		if answer.Error == nil || answer.Error.Error() != s.Error {
			return []string{"want the error " + s.Error + ", got " + describeAnswer(answer)}
		}
		return nil
	}
	lines, err := DiffPods(s.Pod, answer.Pod)
	require.NoError(t, err)
	claims, err := DiffClaims(s.Claim, answer.Claim)
	require.NoError(t, err)
	return append(lines, claims...)
}

func describeAnswer(a Answer) string {
	if a.Error != nil {
		return a.Error.Error()
	}
	return "a pod"
}

func TestRealHubsFromTheirTraits(t *testing.T) {
	oracle := ForTest(t)
	var hubs, servers tally
	for _, h := range realHubs(t) {
		hubs.count(t.Run(h.name, func(t *testing.T) {
			for _, s := range h.servers {
				c := h.server(t, s)
				answer, err := oracle.Ask(c)
				require.NoError(t, err)
				want := s.recorded(t, answer)
				got, err := Fit(c, want)
				require.NoError(t, err)
				lines, err := Judge(want, got)
				require.NoError(t, err)
				servers.count(reportServer(t, s, afterConcerns(c, lines)))
			}
		}))
	}
	hubs.print(t, "configs, from traits")
	servers.print(t, "configs' users, from traits")
}

// reportServer is report for a case whose settings are in a file.
func reportServer(t *testing.T, s realServer, lines []string) bool {
	t.Helper()
	return report(t, Case{User: s.User, Server: s.Server, Options: s.Options}, lines)
}
