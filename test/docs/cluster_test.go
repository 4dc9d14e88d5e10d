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

// leaveNothing is what no page may find of the one before. Nobody but us takes the protection from claims here: no controller runs.
const leaveNothing = `set -e
kubectl delete clusterspawnpolicies --all
kubectl delete spawnpolicies --all --all-namespaces
kubectl delete pods --all --all-namespaces --force --grace-period 0
kubectl delete secrets --all-namespaces --field-selector type=slipway.dev/env
kubectl delete pvc --all --all-namespaces --wait=false
kubectl get pvc --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' | while read -r namespace name; do
	kubectl patch pvc --namespace "$namespace" "$name" --type merge --patch '{"metadata": {"finalizers": null}}'
done`

// enterCluster gives commands the cluster, and gives the function that takes it away again and leaves nothing behind.
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
		out, err := c.run(t, leaveNothing)
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
