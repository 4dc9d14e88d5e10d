package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/world"
)

// foreignCRDs are the folders of the modules, pinned in tools/chart, that define what the chart renders of other products.
var foreignCRDs = map[string][]string{
	"github.com/cert-manager/cert-manager": {
		"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml",
	},
	"github.com/prometheus-operator/prometheus-operator": {
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
	},
}

// prepared is an API server with the namespaces that the sets of values name, and with all kinds that the chart renders, our own and
// foreign ones.
func prepared(t *testing.T) *kube.Cluster {
	t.Helper()
	c := kube.ForTest(t)
	for _, ns := range []string{namespace, "jupyterhub", "users", "more-users"} {
		if err := c.CreateNamespace(t.Context(), ns, nil); !apierrors.IsAlreadyExists(err) {
			require.NoError(t, err)
		}
	}
	files := []string{folder + "/files/crds"}
	for module, paths := range foreignCRDs {
		folder := moduleFolder(t, module)
		for _, path := range paths {
			files = append(files, filepath.Join(folder, path))
		}
	}
	_, err := c.Kubectl(t.Context(), nil, "apply", "--server-side", "-f", strings.Join(files, ","))
	require.NoError(t, err)
	require.NoError(t, c.AwaitCRDs(t.Context(), files...))
	return c
}

// moduleFolder is where the Go command keeps a module of tools/chart; it fetches it if need be.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Dir(chartModule)
	var says bytes.Buffer
	cmd.Stderr = &says
	out, err := cmd.Output()
	require.NoError(t, err, says.String())
	var found struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &found))
	return found.Dir
}

// schemas writes a strict JSON schema for each kind among the objects, from what the API server says of it, into a folder as kubeconform
// reads it.
func schemas(t *testing.T, c *kube.Cluster, all objects) (folder string) {
	t.Helper()
	folder = t.TempDir()
	documents := map[string]map[string]any{}
	for _, o := range all {
		version := o.GetAPIVersion()
		if documents[version] == nil {
			documents[version] = openAPI(t, c, o)
		}
		schema, err := schemaOf(documents[version], o)
		require.NoError(t, err)
		text, err := json.Marshal(schema)
		require.NoError(t, err)
		name := o.GetKind() + "_" + strings.ReplaceAll(version, "/", "_")
		require.NoError(t, os.WriteFile(filepath.Join(folder, strings.ToLower(name)+".json"), text, 0o600))
	}
	return folder
}

// openAPI gives the schemas of the group and version of an object. The API server tells those of a CRD a moment after it serves it.
func openAPI(t *testing.T, c *kube.Cluster, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	path := "/openapi/v3/apis/" + o.GetAPIVersion()
	if o.GroupVersionKind().Group == "" {
		path = "/openapi/v3/api/" + o.GetAPIVersion()
	}
	client := kubernetes.NewForConfigOrDie(c.Config()).Discovery().RESTClient()
	var found map[string]any
	require.NoError(t, world.Eventually(t.Context(), func() error {
		var status int
		text, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(t.Context()).StatusCode(&status).Raw()
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("get %s: status %d: %w", path, status, err)
		}
		var document struct {
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return err
		}
		found = document.Components.Schemas
		_, err = schemaOf(found, o)
		return err
	}))
	return found
}

// schemaOf gives a strict schema of the object's kind.
func schemaOf(all map[string]any, o *unstructured.Unstructured) (map[string]any, error) {
	gvk := o.GroupVersionKind()
	for name, schema := range all {
		kinds, _, _ := unstructured.NestedSlice(schema.(map[string]any), "x-kubernetes-group-version-kind")
		for _, k := range kinds {
			k, ok := k.(map[string]any)
			if ok && k["group"] == gvk.Group && k["version"] == gvk.Version && k["kind"] == gvk.Kind {
				strict(all)
				return map[string]any{"$ref": "#/components/schemas/" + name, "components": map[string]any{"schemas": all}}, nil
			}
		}
	}
	return nil, fmt.Errorf("the API server has no schema of %s", gvk)
}

// strict refuses unknown fields of every object whose fields are known.
func strict(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, item := range s {
			strict(item)
		}
	case map[string]any:
		_, known := s["properties"].(map[string]any)
		if known && s["type"] == "object" && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] == nil {
			s["additionalProperties"] = false
		}
		for _, item := range s {
			strict(item)
		}
	}
}

// kubeconform checks rendered text against the schemas.
func kubeconform(t *testing.T, folder, text string) (out string, err error) {
	t.Helper()
	out, says, err := run(t, kubeconformProgram, text, "-summary", "-output", "text",
		"-schema-location", folder+"/{{ .ResourceKind }}_{{ if ne .Group .ResourceAPIVersion }}{{ .Group }}_{{ end }}{{ .ResourceAPIVersion }}.json")
	return out + says, err
}
