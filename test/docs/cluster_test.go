package docs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-hub/slipway/test/world"
)

// enterCluster gives commands the cluster, and gives the function that takes it away again and leaves no policy behind.
func (c *copied) enterCluster(t *testing.T) func() {
	t.Helper()
	w := world.ForTest(t)
	rights, err := world.RenderRights(t.Context(), "templates/launcher/rbac.yaml", map[string]any{
		"launcherAccounts": []any{map[string]any{"namespace": world.HubNamespace, "name": world.HubAccount, "bind": true}},
		"launcher":         map[string]any{"clusterWide": true},
	})
	require.NoError(t, err)
	require.NoError(t, w.Grant(t.Context(), "docs-"+filepath.Base(t.Name()), world.HubNamespace, world.HubAccount, rights.Everywhere))
	c.writeKubeconfig(t, "hub.kubeconfig", w.HubConfig())
	env := c.env
	c.env = append(slices.Clone(env), "KUBECONFIG="+w.Cluster.Kubeconfig(), "PATH="+filepath.Join(c.folder, "bin")+":"+w.Cluster.Programs()+":"+os.Getenv("PATH"))
	return func() {
		out, err := c.run(t, "kubectl delete clusterspawnpolicies --all; kubectl delete pods,spawnpolicies --all --all-namespaces --force --grace-period 0")
		require.NoError(t, err, out)
		c.env = env
	}
}

// writeKubeconfig writes a file by which kubectl and slipway are an account of the cluster.
func (c *copied) writeKubeconfig(t *testing.T, name string, config *rest.Config) {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["docs"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["docs"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	file.Contexts["docs"] = &clientcmdapi.Context{Cluster: "docs", AuthInfo: "docs"}
	file.CurrentContext = "docs"
	require.NoError(t, clientcmd.WriteToFile(*file, filepath.Join(c.folder, name)))
}
