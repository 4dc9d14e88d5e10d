package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The pod of KubeSpawner's defaults, so that a change to any of them is seen in review.
func TestTheMinimalPod(t *testing.T) {
	golden(t, "minimal.yaml", fitted(t, compiled(t, baseline), aliceIn("research")))
}

// One policy that uses every setting that lands in the pod or the claim.
func TestThePodOfEverySetting(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "full.policy.yaml"))
	require.NoError(t, err)
	in := aliceIn("research")
	in.Identity.Server = "lab"
	in.Identity.EnvSecret = "jupyter-alice--lab-env-x7k2m9qa"
	in.Identity.EnvKeys = []string{"JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX", "LD_PRELOAD"}
	golden(t, "full.yaml", fitted(t, compiled(t, string(data)), in))
}

func golden(t *testing.T, name string, r Result) {
	t.Helper()
	var out strings.Builder
	for _, o := range []any{r.Pod, r.Claim} {
		b, err := yaml.Marshal(o)
		require.NoError(t, err)
		out.WriteString("---\n" + strings.ReplaceAll(string(b), "status: {}\n", ""))
	}
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), out.String())
}

func TestLayersWinInOrder(t *testing.T) {
	steps := []struct{ layer, text string }{
		{"cluster defaults", clusterwide("c", "{defaults: {image: 'cluster'}}")},
		{"of higher priority", clusterwide("b", "{priority: 1, defaults: {image: 'priority'}}")},
		{"namespace defaults", namespaced("n", "{defaults: {image: 'namespace'}}")},
		{"later name", namespaced("o", "{defaults: {image: 'later'}}")},
		{"profile", namespaced("p", "{profiles: [{slug: a, settings: {image: 'profile'}, options: [{name: x, choices: [{name: one}]}]}]}")},
		{"namespace enforced", namespaced("q", "{enforced: {image: 'namespace-enforced'}}")},
		{"cluster enforced", clusterwide("d", "{enforced: {image: 'cluster-enforced'}}")},
	}
	want := []string{"cluster", "priority", "namespace", "later", "profile", "namespace-enforced", "cluster-enforced"}
	text := baseline
	for i, s := range steps {
		text += s.text
		got := notebook(fitted(t, compiled(t, text), aliceIn("research")).Pod).Image
		assert.Equal(t, want[i], got, s.layer)
	}
}

func TestUnsetTakesAWeakerLayersValueAway(t *testing.T) {
	c := compiled(t, baseline+clusterwide("c", "{defaults: {environment: {DEBUG: 'true', A: b}, nodeSelector: {x: z}, allowPrivilegeEscalation: false}}")+
		namespaced("n", "{defaults: {unset: ['environment[DEBUG]', nodeSelector, allowPrivilegeEscalation], nodeSelector: {w: v}}}"))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.NotContains(t, envOf(pod), "DEBUG")
	assert.Equal(t, "b", envOf(pod)["A"])
	assert.Equal(t, map[string]string{"w": "v"}, pod.Spec.NodeSelector)
	assert.Nil(t, notebook(pod).SecurityContext)
}

// A port of 0 would have the API server refuse the pod.
func TestAnUnsetPortIsNoPort(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{defaults: {unset: [port]}}"))
	assert.Empty(t, notebook(fitted(t, c, aliceIn("research")).Pod).Ports)
}

// The API server labels every namespace with its own name; who renders from files doesn't write that down.
func TestANamespaceIsSelectedByItsOwnName(t *testing.T) {
	c := compiled(t, clusterwide("own", `{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: lab}},
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}],
  defaults: {image: "a:1"}, expressions: {"environment[IN]": "namespaceObject.metadata.labels['kubernetes.io/metadata.name']"}}`))
	assert.Equal(t, []corev1.EnvVar{{Name: "IN", Value: "lab"}}, slices.DeleteFunc(notebook(fitted(t, c, aliceIn("lab")).Pod).Env, func(v corev1.EnvVar) bool { return v.Name != "IN" }))

	r, err := c.Apply(aliceIn("other"))
	require.NoError(t, err)
	assert.Equal(t, NoPolicy, r.Denials[0].Code)
}

func TestDenials(t *testing.T) {
	userless := strings.ReplaceAll(baseline, `mayAssertGroups: ["*"]`, "users: [bob]")
	for name, tc := range map[string]struct {
		text   string
		change func(*Input)
		code   Code
		want   string
	}{
		"no policy":            {baseline, func(in *Input) { in.Namespace = Namespace{Name: "other"} }, NoPolicy, `no policy matches hub "main" in namespace "other"`},
		"other hub":            {baseline, func(in *Input) { in.Identity.Hub = "two" }, NoPolicy, `hub "two"`},
		"no launchers":         {namespaced("n", "{}"), func(*Input) {}, LauncherNotAllowed, "names launchers"},
		"not listed":           {baseline, func(in *Input) { in.Caller = "system:serviceaccount:x:y" }, LauncherNotAllowed, "system:serviceaccount:x:y isn't listed"},
		"not by the namespace": {baseline + namespaced("n", "{launchers: [{serviceAccount: {namespace: a, name: b}}]}"), func(*Input) {}, LauncherNotAllowed, "SpawnPolicy research/n"},
		"not for that user":    {userless, func(*Input) {}, LauncherNotAllowed, `may not launch for user "alice"`},
		"groups not asserted":  {strings.ReplaceAll(baseline, `mayAssertGroups: ["*"]`, "mayAssertGroups: [staff]"), func(in *Input) { in.Identity.Groups = []string{"admins"} }, LauncherNotAllowed, `group "admins"`},
		"wrong name":           {baseline, func(in *Input) { in.Identity.Name = "jupyter-bob" }, NameMismatch, `gives "jupyter-alice"`},
		"no such profile":      {baseline + namespaced("n", "{profiles: [{slug: a}]}"), func(in *Input) { in.Identity.Profile = "b" }, ProfileUnknown, `no profile "b"`},
		"profiles nowhere":     {baseline, func(in *Input) { in.Identity.Profile = "b" }, ProfileUnknown, "no policy here has profiles"},
		"user id unknown":      {baseline + namespaced("n", "{defaults: {extraLabels: {id: 'u{userid}'}}}"), func(in *Input) { in.Identity.UserID = nil }, TemplateInvalid, AnnotationUserID},
		"surplus in Strict":    {baseline, func(in *Input) { in.Surplus = []string{"spec.containers[notebook].image"} }, SkeletonNotBare, "spec.containers[notebook].image"},
		"one slug twice":       {baseline + namespaced("n", "{profiles: [{slug: a}]}") + namespaced("o", "{profiles: [{slug: a}]}"), func(*Input) {}, PolicyInvalid, "also in SpawnPolicy research/n, spec.profiles[0]"},
		"terms into a list":    {baseline + clusterwide("c", "{defaults: {tolerations: [{key: a}]}}") + namespaced("n", "{defaults: {tolerations: {b: {key: b}}}}"), func(*Input) {}, PolicyInvalid, "SpawnPolicy research/n: spec.defaults.tolerations"},
		"no notebook":          {baseline + namespaced("n", "{defaults: {extraPodConfig: {containers: [{name: other, image: x}]}}}"), func(*Input) {}, PolicyInvalid, "has 0 containers called notebook"},
		"two notebooks":        {baseline + namespaced("n", "{defaults: {extraContainers: [{name: notebook, image: x}]}}"), func(*Input) {}, PolicyInvalid, "has 2 containers called notebook"},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			tc.change(&in)
			d := denied(t, compiled(t, tc.text), in)
			assert.Equal(t, tc.code, d[0].Code)
			assert.Contains(t, d[0].String(), tc.want)
		})
	}
}

// Offline nobody says who calls; what no listed account may say is denied all the same.
func TestWithoutACallerOneThatPolicyListsIsAssumed(t *testing.T) {
	c := compiled(t, namespaced("n", `{launchers: [
		{serviceAccount: {namespace: jupyter, name: hub}, hubs: [main], mayAssertGroups: [staff]}, {serviceAccount: {namespace: jupyter, name: other}, hubs: [other]}]}`))
	in := aliceIn("research")
	in.Caller, in.Identity.Groups = "", []string{"staff"}
	fitted(t, c, in)
	in.Identity.Groups = []string{"admins"}
	d := denied(t, c, in)
	require.Len(t, d, 1)
	assert.Equal(t, LauncherNotAllowed, d[0].Code)
	assert.Contains(t, d[0].Message, `jupyter:hub may not say that a user is in group "admins"`)
	in.Identity.Hub = "other"
	assert.Contains(t, denied(t, c, in)[0].Message, `jupyter:hub may not launch for hub "other"`)
	in.Identity.Groups = nil
	fitted(t, c, in)
	fitted(t, compiled(t, namespaced("n", "{}")), in)
}

func TestStripDropsSurplusWithAWarning(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{skeleton: Strip}"))
	in := aliceIn("research")
	in.Surplus = []string{"spec.hostNetwork"}
	r := fitted(t, c, in)
	assert.Equal(t, []string{"dropped from the skeleton: spec.hostNetwork"}, r.Warnings)
	assert.Equal(t, fitted(t, c, aliceIn("research")).Pod, r.Pod)

	strict := compiled(t, baseline+namespaced("n", "{skeleton: Strip}")+clusterwide("c", "{skeleton: Strict}"))
	assert.Equal(t, SkeletonNotBare, denied(t, strict, in)[0].Code, "the strictest one named holds")
}

func TestStripDoesNotWarnOfWhatPolicyAllows(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{skeleton: Strip, metadata: {allow: ['example.org/*']}}"))
	in := aliceIn("research")
	in.Surplus = []string{"metadata.labels[example.org/a]", "metadata.labels[other]"}
	assert.Equal(t, []string{"dropped from the skeleton: metadata.labels[other]"}, fitted(t, c, in).Warnings)
}

func TestWarningsNameAllThatWasDropped(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{skeleton: Strip}"))
	in := aliceIn("research")
	for i := range 40 {
		in.Surplus = append(in.Surplus, fmt.Sprintf("metadata.annotations[example.org/%d]", i))
	}
	warnings := fitted(t, c, in).Warnings
	for _, w := range warnings {
		assert.LessOrEqual(t, len(w), 256)
		assert.True(t, strings.HasPrefix(w, "dropped from the skeleton: metadata."), w)
	}
	for _, path := range in.Surplus {
		assert.Contains(t, strings.Join(warnings, "\n"), path)
	}

	in.Surplus = []string{strings.Repeat("é", 200)}
	for range 1000 {
		in.Surplus = append(in.Surplus, strings.Repeat("x", 200))
	}
	warnings = fitted(t, c, in).Warnings
	assert.Len(t, warnings, 16)
	assert.LessOrEqual(t, len(warnings[0]), 256)
	assert.True(t, strings.HasSuffix(warnings[0], "é…"))
	assert.Equal(t, "and 986 more warnings", warnings[15])
}

func TestMetadataThatPolicyAllowsSurvives(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{metadata: {allow: ['example.org/*', 'slipway.dev/*']}, defaults: {extraLabels: {example.org/a: policy}}}"))
	in := aliceIn("research")
	in.Sent = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"example.org/a": "sent", "example.org/b": "sent", "other": "sent", "slipway.dev/x": "sent"}}}
	in.Surplus = []string{"metadata.labels[example.org/a]", "metadata.labels[example.org/b]"}
	labels := fitted(t, c, in).Pod.Labels
	assert.Equal(t, "policy", labels["example.org/a"], "policy's own wins")
	assert.Equal(t, "sent", labels["example.org/b"])
	assert.NotContains(t, labels, "other")
	assert.NotContains(t, labels, "slipway.dev/x", "our own keys can't be let in")
}

func TestAppliedNamesPoliciesAndHash(t *testing.T) {
	p := decoded(t, baseline+namespaced("n", "{}"))
	p.Namespaced[0].Generation = 4
	r := fitted(t, Compile(p), aliceIn("research"))
	var got Applied
	require.NoError(t, json.Unmarshal([]byte(r.Pod.Annotations[AnnotationApplied]), &got))
	assert.Equal(t, []PolicyRef{{Name: "baseline"}, {Namespace: "research", Name: "n", Generation: 4}}, got.Policies)
	assert.Regexp(t, `^[0-9a-f]{16}$`, got.Hash)
	p.Namespaced[0].Spec.Priority = 3
	assert.NotEqual(t, got.Hash, fitted(t, Compile(p), aliceIn("research")).Applied.Hash)
}

func TestHubEnvironmentPassesOnlyWhatEveryPolicyLetsThrough(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Env = map[string]string{"JUPYTERHUB_USER": "alice", "JUPYTERHUB_API_TOKEN": "t", "LD_PRELOAD": "/evil.so", "A": "hub"}
	env := envOf(fitted(t, compiled(t, baseline+namespaced("n", "{hubEnv: ['*_USER', 'A']}")), in).Pod)
	assert.Equal(t, "alice", env["JUPYTERHUB_USER"])
	assert.NotContains(t, env, "JUPYTERHUB_API_TOKEN")
	assert.NotContains(t, env, "LD_PRELOAD")
	own := compiled(t, baseline+namespaced("n", "{defaults: {environment: {JUPYTERHUB_USER: policy}}}"))
	assert.Equal(t, "policy", envOf(fitted(t, own, in).Pod)["JUPYTERHUB_USER"], "policy's own wins")
}

func TestGroupsComeFromTheClusterWhereItMapsThem(t *testing.T) {
	c := compiled(t, baseline+clusterwide("m", "{groupMap: {staff: [alice], admins: [root]}}")+
		namespaced("s", "{groups: [staff], defaults: {extraLabels: {staff: 'yes'}}}")+namespaced("a", "{groups: [admins], defaults: {extraLabels: {admin: 'yes'}}}"))
	in := aliceIn("research")
	in.Identity.Groups = []string{"admins"}
	labels := fitted(t, c, in).Pod.Labels
	assert.Equal(t, "yes", labels["staff"])
	assert.NotContains(t, labels, "admin", "the hub's word isn't used")
}

func TestResultIsTheCallersOwn(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "full.policy.yaml"))
	require.NoError(t, err)
	c := compiled(t, string(data))
	first := fitted(t, c, aliceIn("research"))
	want := first.Pod.DeepCopy()
	for i := range first.Pod.Spec.Containers {
		first.Pod.Spec.Containers[i].Image = "changed"
	}
	for i := range first.Pod.Spec.Volumes {
		first.Pod.Spec.Volumes[i] = corev1.Volume{}
	}
	clear(first.Pod.Spec.NodeSelector)
	assert.Equal(t, want, fitted(t, c, aliceIn("research")).Pod)
}
