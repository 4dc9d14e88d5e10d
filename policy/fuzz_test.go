package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// fuzzed policies stand beside baseline, which lets alice's pod be launched; p's kind and namespace are as of p0 in research.
func fuzzedPolicy(cluster bool, spec *v1alpha1.SpawnPolicySpec, into *Policies) {
	if cluster {
		p := v1alpha1.ClusterSpawnPolicy{Spec: *spec}
		p.Name = "fuzzed"
		into.Cluster = append(into.Cluster, p)
		return
	}
	p := v1alpha1.SpawnPolicy{Spec: *spec}
	p.Name, p.Namespace = "fuzzed", "research"
	into.Namespaced = append(into.Namespaced, p)
}

// specOf reads a spec as the webhook does, from an object that an API server stored.
func specOf(data []byte) (*v1alpha1.SpawnPolicySpec, bool) {
	spec := &v1alpha1.SpawnPolicySpec{}
	strict, err := sigsjson.UnmarshalStrict(data, spec)
	return spec, err == nil && len(strict) == 0
}

// requireDecision: a pod or reasons, and all that a client is told within bounds.
func requireDecision(t *testing.T, r *Result) {
	t.Helper()
	require.NotEqual(t, r.Pod == nil, len(r.Denials) == 0, "a pod or reasons")
	require.LessOrEqual(t, len(r.Warnings), maxWarnings)
	for _, w := range r.Warnings {
		require.LessOrEqual(t, len(w), maxWarning)
	}
	for _, d := range r.Denials {
		require.NotEmpty(t, d.Code)
		require.NotEmpty(t, d.Message)
	}
	if r.Pod != nil {
		if !r.Kept {
			require.Empty(t, validation.IsDNS1123Subdomain(r.Pod.Name))
		}
		require.Equal(t, 1, countNotebooks(r.Pod))
	}
}

// FuzzCompile compiles whatever an API server may have stored, and fits a pod by it: the same way each time, never against a policy
// that is invalid, and so that /verify takes what /mutate made.
func FuzzCompile(f *testing.F) {
	for _, spec := range blocks {
		data := asJSON(treeOf(f, "{defaults: "+spec+", enforced: {privileged: false}}"))
		f.Add([]byte(data), len(spec)%2 == 0, "alice", "", "{}")
	}
	f.Fuzz(func(t *testing.T, data []byte, cluster bool, user, server, options string) {
		spec, readable := specOf(data)
		if !readable {
			return
		}
		policies := decoded(t, baseline)
		fuzzedPolicy(cluster, spec, &policies)
		in := aliceIn("research")
		in.Identity.User, in.Identity.Server = strings.ToValidUTF8(user, ""), strings.ToValidUTF8(server, "")
		in.Identity.Groups = []string{"staff"}
		in.Identity.Env = map[string]string{"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:1/user/", "OTHER": "o"}
		_ = json.Unmarshal([]byte(options), &in.Identity.Options) // what is no map of texts is no options
		in.Provenance = true

		c, again := Compile(policies), Compile(policies)
		require.Equal(t, c.Errors(), again.Errors())
		for _, e := range c.Errors() {
			require.True(t, e.Field == "spec" || strings.HasPrefix(e.Field, "spec."), "%v", e)
		}
		other := in // whose pod leaves nothing in what both share
		other.Identity = Identity{Hub: "main", User: "other", Server: "lab", UserAnnotations: map[string]string{"a": "b"}}
		for range 3 {
			_ = bytesOf(t, again, other)
			require.Equal(t, bytesOf(t, c, in), bytesOf(t, again, in))
		}
		r, err := c.Apply(in)
		require.NoError(t, err)
		requireDecision(t, &r)
		selected := c.selectPolicies(&in).policies
		if slices.ContainsFunc(selected, func(p *compiledPolicy) bool { return len(p.errs) > 0 }) {
			require.True(t, slices.ContainsFunc(r.Denials, func(d Denial) bool { return d.Code == PolicyInvalid }), "%v", r.Denials)
		}
		if r.Pod == nil {
			return
		}
		denials, known := c.Verify(in, asStored(t, r.Pod))
		require.True(t, known)
		require.Empty(t, denials, "of %s", asJSON(r.Pod))
	})
}
