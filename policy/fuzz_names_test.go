package policy

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// FuzzSlugs: whatever a user and a server are called, their slugs are names.
func FuzzSlugs(f *testing.F) {
	f.Add("alice", "")
	f.Fuzz(func(t *testing.T, user, server string) {
		for slug, length := range map[string]int{SafeSlug(user): maxNameSlug, SafeUserServer(user, server): maxNameSlug} {
			require.LessOrEqual(t, len(slug), length)
			require.Empty(t, validation.IsDNS1123Label(slug), slug)
			require.Empty(t, validation.IsDNS1123Label("jupyter-"+slug), "as the default template has it")
		}
		require.Empty(t, validation.IsValidLabelValue(LabelSlug(user)))
		require.Empty(t, strings.Trim(EscapeSlug(user), "abcdefghijklmnopqrstuvwxyz0123456789-"))
		require.Equal(t, user == server, SafeSlug(user) == SafeSlug(server), "two users have two slugs")
		require.Equal(t, user == server, LabelSlug(user) == LabelSlug(server))
		require.Equal(t, user+server == user, SafeUserServer(user, server) == SafeUserServer(user, ""))
		if server != "" {
			require.NotEqual(t, SafeUserServer(user, server), SafeUserServer(user+"--"+server, ""), "nobody is called like another's server")
			require.NotEqual(t, SafeUserServer(user, server), SafeUserServer(user+server, ""))
		}
		require.Equal(t, SafeUserServer(user, server), SafeUserServer(strings.Clone(user), strings.Clone(server)))
	})
}

// byReplacer expands a template in the way of another library: one pass, and what was put in isn't looked at again.
func byReplacer(t *testing.T, text string, value func(string) (string, error)) string {
	t.Helper()
	pairs := []string{"{{", "{", "}}", "}"}
	for _, name := range placeholders {
		v, err := value(name)
		require.NoError(t, err)
		pairs = append(pairs, "{"+name+"}", v)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// FuzzTemplates: what is a template means what Python takes it for, and what a user is called or typed is never one.
func FuzzTemplates(f *testing.F) {
	f.Add("jupyter-{user_server}", "alice", "", "typed", false)
	f.Fuzz(func(t *testing.T, text, user, name, typed string, escape bool) {
		if !utf8.ValidString(text + user + name + typed) {
			return // neither a policy nor a pod has such text
		}
		in := aliceIn("research")
		in.Identity.User, in.Identity.Server = user, name
		x := &server{in: &in, hubNS: "jupyter", s: &settings{}, names: Names{Pod: "pod", Claim: "claim"}}
		if escape {
			x.s.SlugScheme = new("escape")
		}
		if parsed, err := parseTemplate(text, placeholders); err == nil {
			got, err := parsed.expand(x.value)
			require.NoError(t, err)
			want := byReplacer(t, text, x.value)
			require.True(t, strings.HasPrefix(want, got), "%q, want %q", got, want)
			require.Empty(t, strings.Trim(want[len(got):], "-"), "only dashes go")
			if strings.HasSuffix(text, "-") {
				require.Equal(t, want, got)
			}
		}
		typedIsOpaque(t, x, text, typed)
		fitNamed(t, in, text)
	})
}

// typedIsOpaque: where what a user typed is put into a template, the rest of it comes out as with anything else in that place.
func typedIsOpaque(t *testing.T, x *server, text, typed string) {
	t.Helper()
	const other = "\x01"
	if strings.Contains(text+x.in.Identity.User+x.in.Identity.Server, other) {
		return
	}
	expanded := func(value string) (string, bool) {
		parsed, err := parseTemplate(substituteValue(text, value, true), placeholders)
		if err != nil {
			return "", false
		}
		out, err := parsed.expand(x.value)
		require.NoError(t, err)
		return out, true
	}
	want, valid := expanded(other)
	got, stillValid := expanded(typed)
	require.Equal(t, valid, stillValid, "what is typed breaks no template")
	want = strings.ReplaceAll(want, other, typed)
	require.Equal(t, strings.TrimRight(want, "-"), strings.TrimRight(got, "-"))
}

// fitNamed has a pod, its claim and an annotation named by a template.
func fitNamed(t *testing.T, in Input, text string) {
	t.Helper()
	spec := &v1alpha1.SpawnPolicySpec{Defaults: &v1alpha1.Settings{Server: v1alpha1.Server{
		PodNameTemplate: &text, PVCNameTemplate: &text, StoragePVCEnsure: new(true), PodConnectIP: &text,
		ExtraAnnotations: map[string]string{"text": text},
	}}}
	policies := decoded(t, baseline)
	fuzzedPolicy(false, spec, &policies)
	c := Compile(policies)
	r, err := c.Apply(in)
	require.NoError(t, err)
	requireDecision(t, &r)
	if r.Pod == nil {
		return
	}
	require.Equal(t, r.Names.Pod, r.Pod.Name)
	require.Equal(t, r.Names.Claim, r.Claim.Name)
	require.Empty(t, validation.IsDNS1123Subdomain(r.Claim.Name))
	require.Equal(t, bytesOf(t, c, in), bytesOf(t, Compile(policies), in))
}
