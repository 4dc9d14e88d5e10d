package parity

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// server is the case of one recorded server. A Python function has no JSON: hooks are left out, since they don't
// run here, and an initContainer that was a Python object is taken from the recorded pod, so that everything
// else can be compared.
func (h *RealHub) server(t *testing.T, s RealServer) Case {
	t.Helper()
	settings := map[string]any{}
	for name, value := range h.Settings {
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
func (s *RealServer) recorded(t *testing.T, oracle Answer) Answer {
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
	for _, h := range RealHubs(t) {
		t.Run(h.Name, func(t *testing.T) {
			for _, s := range h.Servers {
				c := h.server(t, s)
				answer, err := oracle.Ask(c)
				require.NoError(t, err)
				figures.count(report(t, c, differsFromRecord(t, s, answer)))
			}
		})
	}
	figures.print(t, "the oracle itself, recorded servers")
}

func differsFromRecord(t *testing.T, s RealServer, answer Answer) []string {
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
	for _, h := range RealHubs(t) {
		hubs.count(t.Run(h.Name, func(t *testing.T) {
			for _, s := range h.Servers {
				c := h.server(t, s)
				answer, err := oracle.Ask(c)
				require.NoError(t, err)
				want := s.recorded(t, answer)
				got, err := Fit(c, want)
				require.NoError(t, err)
				lines, err := Judge(want, got)
				require.NoError(t, err)
				servers.count(reportServer(t, s, AfterConcerns(c, lines)))
			}
		}))
	}
	hubs.print(t, "configs, from traits")
	servers.print(t, "configs' users, from traits")
}

// reportServer is report for a case whose settings are in a file.
func reportServer(t *testing.T, s RealServer, lines []string) bool {
	t.Helper()
	return report(t, Case{User: s.User, Server: s.Server, Options: s.Options}, lines)
}
