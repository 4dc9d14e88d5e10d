package chart

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psapi "k8s.io/pod-security-admission/api"
	pspolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// What a hub's account may do in the namespace of hub and servers: with KubeSpawner, with the launcher in its pod, and with one beside
// it. The chart's README has it as a table.
func TestWhatAHubCanIBeforeAndAfter(t *testing.T) {
	c := prepared(t)
	kubespawner, err := os.ReadFile("testdata/kubespawner-role.yaml")
	require.NoError(t, err)
	sidecar := values{
		"launcherAccounts": []any{values{"namespace": "jupyterhub", "name": "hub", "bind": true}}, "launcher": values{"namespaces": []any{"jupyterhub"}},
	}
	beside := values{"launcher": launcher(values{
		"namespaces": []any{"jupyterhub"}, "accounts": []any{values{"namespace": "jupyterhub", "name": "hub", "hubs": []any{"main"}}},
	})}
	roles := map[string]string{"hub-kubespawner": string(kubespawner)}
	for golden, v := range map[string]values{"hub-sidecar": sidecar, "hub-beside": beside} {
		text, says, err := template(t, v, "--show-only", "templates/launcher/rbac.yaml")
		require.NoError(t, err, says)
		roles[golden] = text
	}
	found := map[string]map[string]string{}
	for golden, text := range roles {
		t.Run(golden, func(t *testing.T) {
			found[golden] = verbsByResource(requireCanI(t, c, golden, text, "system:serviceaccount:jupyterhub:hub", "jupyterhub"))
		})
	}
	for _, file := range []string{folder + "/README.md.gotmpl", folder + "/../../README.md"} {
		readme, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(readme), tableOf(found), "the table in %s isn't current", file)
	}
}

var listedVerbs = regexp.MustCompile(`(?m)^(\S+) +\[\] +\[\] +\[(.*)\]$`)

// verbsByResource reads what kubectl lists.
func verbsByResource(list string) map[string]string {
	verbs := map[string]string{}
	for _, line := range listedVerbs.FindAllStringSubmatch(list, -1) {
		sorted := slices.Sorted(slices.Values(strings.Fields(line[2])))
		verbs[line[1]] = strings.Join(sorted, ", ")
	}
	return verbs
}

// tableOf leaves out what every account may.
func tableOf(found map[string]map[string]string) string {
	before, sidecar, everybody := found["hub-kubespawner"], found["hub-sidecar"], found["hub-beside"]
	resources := map[string]string{}
	maps.Copy(resources, before)
	maps.Copy(resources, sidecar)
	maps.DeleteFunc(resources, func(resource, _ string) bool { return everybody[resource] != "" })
	var b strings.Builder
	b.WriteString("| may | KubeSpawner: the hub | launcher as sidecar: its container alone | launcher beside it: the hub |\n|---|---|---|---|\n")
	for _, resource := range slices.Sorted(maps.Keys(resources)) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |  |\n", resource, before[resource], sidecar[resource])
	}
	return b.String()
}

// exampleValues are those for Zero to JupyterHub.
func exampleValues(t *testing.T) (hub struct {
	Config          map[string]map[string]string
	ExtraPodSpec    struct{ AutomountServiceAccountToken *bool }
	ExtraVolumes    []corev1.Volume
	ExtraContainers []corev1.Container

	ExtraVolumeMounts []corev1.VolumeMount
	Image             map[string]string
}) {
	t.Helper()
	text, err := os.ReadFile(folder + "/examples/z2jh-values.yaml")
	require.NoError(t, err)
	all := map[string]any{}
	require.NoError(t, yaml.UnmarshalStrict(text, &all))
	assert.Equal(t, map[string]any{"create": false}, all["rbac"], "KubeSpawner's role is off")
	text, err = yaml.Marshal(all["hub"])
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, &hub))
	return hub
}

// The example as the hub's pod that Zero to JupyterHub makes of it, and what matters in it: nothing but the launcher has a token.
func TestTheSidecarAloneHasTheHubsToken(t *testing.T) {
	hub := exampleValues(t)
	require.Equal(t, new(false), hub.ExtraPodSpec.AutomountServiceAccountToken)
	sidecar := hub.ExtraContainers[0]
	tokens := 0
	for _, v := range hub.ExtraVolumes {
		if v.Projected == nil {
			continue
		}
		tokens++
		mounts := func(c []corev1.VolumeMount) bool {
			return slices.ContainsFunc(c, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		}
		assert.False(t, mounts(hub.ExtraVolumeMounts))
		assert.True(t, mounts(sidecar.VolumeMounts))
		assert.Empty(t, v.Projected.Sources[0].ServiceAccountToken.Audience, "the API server's own")
	}
	assert.Equal(t, 1, tokens)
	socket := "unix:///run/slipway/launcher.sock"
	assert.Equal(t, socket, hub.Config["SlipwaySpawner"]["launcher_url"])
	assert.Contains(t, sidecar.Args, "--socket="+strings.TrimPrefix(socket, "unix://"))
	assert.Contains(t, sidecar.Args, "--hub="+hub.Config["SlipwaySpawner"]["hub_name"])
}

func TestTheSidecarIsAPodThatKubernetesTakes(t *testing.T) {
	c := prepared(t)
	require.NoError(t, c.EnsureServiceAccount(t.Context(), "jupyterhub", "hub"))
	hub := exampleValues(t)
	pod := corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "hub", Namespace: "jupyterhub"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "hub", AutomountServiceAccountToken: hub.ExtraPodSpec.AutomountServiceAccountToken, Volumes: hub.ExtraVolumes,
			// As that chart has them.
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), FSGroup: new(int64(1000)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: append([]corev1.Container{{
				Name: "hub", Image: hub.Image["name"] + ":" + hub.Image["tag"], VolumeMounts: hub.ExtraVolumeMounts,
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8081}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}}, hub.ExtraContainers...),
		},
	}
	evaluator, err := pspolicy.NewEvaluator(pspolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	result := pspolicy.AggregateCheckResults(evaluator.EvaluatePod(
		psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
	assert.True(t, result.Allowed, result.ForbiddenDetail())
	text, err := yaml.Marshal(pod)
	require.NoError(t, err)
	_, err = c.Kubectl(t.Context(), strings.NewReader(string(text)), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	assert.NoError(t, err)
}
