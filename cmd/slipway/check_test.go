package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-hub/slipway/cmd/slipway/check"
)

func TestCheckEndsByItsWorstFinding(t *testing.T) {
	for name, test := range map[string]struct {
		severities []check.Severity
		code       int
	}{
		"nothing":                 {[]check.Severity{check.OK}, exitGood},
		"a warning and a note":    {[]check.Severity{check.Warning, check.Note}, exitGood},
		"something unseen":        {[]check.Severity{check.OK, check.Unseen, check.Warning}, exitFailed},
		"something wrong":         {[]check.Severity{check.Wrong, check.OK}, exitDenied},
		"wrong beside the unseen": {[]check.Severity{check.Unseen, check.Wrong}, exitDenied},
	} {
		t.Run(name, func(t *testing.T) {
			r := &check.Report{}
			for _, s := range test.severities {
				r.Findings = append(r.Findings, check.Finding{Severity: s})
			}
			code := exitGood
			if err := checked(r); err != nil {
				var f *failure
				require.ErrorAs(t, err, &f)
				code = f.code
			}
			assert.Equal(t, test.code, code)
		})
	}
}

func TestCheckRefusesWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"check", "-o", "yaml"}, {"check", "pod"}, {"check", "--no-such-flag"}} {
		got := slipway(t, "", args...)
		assert.Equal(t, exitInvalid, got.code, args)
		assert.Empty(t, got.out)
	}
}

func TestCheckOfAClusterThatCannotBeReached(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	t.Setenv("KUBECONFIG", kubeconfigFor(t, gone.URL))
	got := slipway(t, "", "check")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.err, "connection refused")
	assert.Empty(t, got.out)
}

// An API server that forbids everything but its version.
func TestCheckGoesOnWithoutRights(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"major":"1","minor":"37","gitVersion":"v1.37.0"}`))
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"forbidden"}`))
	}))
	t.Cleanup(server.Close)
	t.Setenv("KUBECONFIG", kubeconfigFor(t, server.URL))

	got := slipway(t, "", "check", "-o", "json", "--namespace", "elsewhere")

	assert.Equal(t, exitFailed, got.code, got.err)
	var report check.Report
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	assert.Equal(t, "elsewhere", report.Namespace)
	assert.Equal(t, 1, report.Count(check.OK))
	assert.Zero(t, report.Count(check.Wrong))
	assert.Contains(t, got.out, "you have no right to get deployments.apps in namespace elsewhere")
	assert.Contains(t, got.out, "kubectl auth can-i list pods --all-namespaces")
}

func kubeconfigFor(t *testing.T, url string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}
