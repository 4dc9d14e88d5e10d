package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const kubeconfigOfTutor = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: x, context: {cluster: c, namespace: data101}}]
current-context: x
`

func TestTheNamespaceIsThatOfTheContextWhereTheClusterIsAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, []byte(kubeconfigOfTutor), 0o600))
	namespace := func(asksCluster bool, args ...string) string {
		t.Helper()
		var f serverFlags
		cmd := &cobra.Command{}
		f.register(cmd)
		require.NoError(t, cmd.ParseFlags(args))
		f.complete(cmd, asksCluster)
		return f.namespace
	}
	t.Setenv("KUBECONFIG", path)
	assert.Equal(t, "data101", namespace(true))
	assert.Equal(t, "other", namespace(true, "-n", "other"))
	assert.Equal(t, "default", namespace(false))
	t.Setenv("KUBECONFIG", path+"-that-is-not-there")
	assert.Equal(t, "default", namespace(true))

	t.Setenv("KUBECONFIG", path)
	asks := slipway(t, "", "explain", "-f", "testdata/home.yaml", "jupyter-bob")
	assert.Equal(t, exitFailed, asks.code)
	assert.Contains(t, asks.err, "get pod jupyter-bob of namespace data101: ", "the pod is the cluster's, whoever has its policies")
	files := slipway(t, "", "explain", "-f", "testdata/home.yaml", "--user", "bob")
	assert.Contains(t, files.out, "in namespace default: ")
}
