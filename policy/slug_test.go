package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The expected values were computed by KubeSpawner's own slugs.py.
func TestSlugsEqualKubeSpawners(t *testing.T) {
	rep := strings.Repeat
	for _, tc := range []struct{ name, label, max48, escape string }{
		{"alice", "alice", "alice", "alice"},
		{"jupyter-alex", "jupyter-alex", "jupyter-alex", "jupyter-2dalex"},
		{"Alice", "Alice", "alice---3bc51062", "-41lice"},
		{"user@email.com", "user-email-com---0925f997", "user-email-com---0925f997", "user-40email-2ecom"},
		{"üser", "ser---73506260", "ser---73506260", "-c3-bcser"},
		{"münchen", "m-nchen---f75c175f", "m-nchen---f75c175f", "m-c3-bcnchen"},
		{"", "", "x---e3b0c442", ""},
		{"9z9", "9z9", "x-9z9---224de202", "9z9"},
		{"-start", "start---f587e2dc", "start---f587e2dc", "-2dstart"},
		{"endswith-", "endswith---165f1166", "endswith---165f1166", "endswith-2d"},
		{"has.dot", "has.dot", "has-dot---03e27fdf", "has-2edot"},
		{"some_user", "some_user", "some-user---7d3a4d4e", "some-5fuser"},
		{"a--b", "a-b---90827a2e", "a-b---90827a2e", "a-2d-2db"},
		{"---", "x---cb3f91d5", "x---cb3f91d5", "-2d-2d-2d"},
		{"@", "x---c3641f85", "x---c3641f85", "-40"},
		{rep("x", 63), rep("x", 63), rep("x", 37) + "---75220b47", rep("x", 63)},
		{rep("x", 64), rep("x", 21) + "---7ce10097", rep("x", 37) + "---7ce10097", rep("x", 64)},
		{rep("x", 48), rep("x", 48), rep("x", 48), rep("x", 48)},
		{rep("x", 49), rep("x", 49), rep("x", 37) + "---55bb9823", rep("x", 49)},
		{"ALLCAPS", "ALLCAPS", "allcaps---27c6794c", "-41-4c-4c-43-41-50-53"},
		{"Some Name", "some-name---3a8b1764", "some-name---3a8b1764", "-53ome-20-4eame"},
		{"日本語", "x---77710aed", "x---77710aed", "-e6-97-a5-e6-9c-ac-e8-aa-9e"},
		{"İstanbul", "i-stanbul---24ec8f72", "i-stanbul---24ec8f72", "-c4-b0stanbul"},
		{"alice\n", "alice---f87165e3", "alice---f87165e3", "alice-a"},
		{"9", "9", "x-9---19581e27", "9"},
		{"a b  c", "a-b-c---67f6081a", "a-b-c---67f6081a", "a-20b-20-20c"},
		{rep("1234567890", 3), rep("1234567890", 3), "x-" + rep("1234567890", 3) + "---f54e5c8f", rep("1234567890", 3)},
	} {
		assert.Equal(t, tc.label, LabelSlug(tc.name), "label of %q", tc.name)
		assert.Equal(t, tc.max48, SafeSlug(tc.name), "name of %q", tc.name)
		assert.Equal(t, tc.escape, EscapeSlug(tc.name), "escape of %q", tc.name)
	}
}

func TestSafeUserServerEqualsKubeSpawners(t *testing.T) {
	rep := strings.Repeat
	for _, tc := range []struct{ user, server, want string }{
		{"alice", "lab", "alice--lab"},
		{"Alice", "", "alice---3bc51062"},
		{"user@email.com", "Some Name", "user-email-com---0925f997--some-name---3a8b1764"},
		{"user-has", "dash", "user-has--dash"},
		{"some_user", "test-server!", "some-user---7d3a4d4e--test-server---cb54a9af"},
		{"9user", "", "x-9user---32e8486d"},
		{rep("a", 46), "", rep("a", 46)},
		{rep("a", 47), "", rep("a", 17) + "--x---b191b19d"},
		{rep("a", 49), "", rep("a", 17) + "--x---2088203e"},
		{rep("a", 30), rep("b", 16), rep("a", 30) + "--" + rep("b", 16)},
		{rep("a", 30), rep("b", 17), rep("a", 17) + "--" + rep("b", 17) + "---11659598"},
		{"a-very-long-name-that-is-too-long-for-sixty-four-character-labels", "", "a-very-long-name--x---e5f4e3a1"},
		{"alice", "-", "alice--x---3973e022"},
		{"alice", "x--y", "alice--x-y---6484a281"},
		{"alice--lab", "", "alice-lab---592a6f6d"},
		{"bob-", "", "bob---671cc3ed"},
		{rep("1", 34) + "-" + rep("2", 10), "", "x-" + rep("1", 15) + "--x---979a3eab"},
		{rep("a", 35) + "@", "", rep("a", 35) + "---23fa8062"},
		{rep("a", 36) + "@", "", rep("a", 17) + "--x---5fcadd4f"},
	} {
		assert.Equal(t, tc.want, SafeUserServer(tc.user, tc.server), "%q %q", tc.user, tc.server)
	}
}

func TestMultiSlugEqualsKubeSpawners(t *testing.T) {
	for _, tc := range []struct {
		names []string
		max   int
		want  string
	}{
		{[]string{"alice", "lab"}, 48, "alice--lab---5c5e9e09"},
		{[]string{"user@email.com", "Some Name"}, 48, "user-email-com--some-name---0c1fe94b"},
		{[]string{"9user", "9srv"}, 48, "x-9user--x-9srv---712001de"},
		{[]string{"alice", ""}, 48, "alice--x---72113adc"},
		{[]string{"a", "b", "c"}, 48, "a--b--c---f0f5240c"},
		{[]string{"ab", "cd"}, 17, "ab--cd---3c57e615"},
	} {
		assert.Equal(t, tc.want, multiSlug(tc.names, tc.max))
	}
}

// Upstream lets these through, and the API server then refuses the pod.
func TestLabelSlugIsAlwaysALabel(t *testing.T) {
	for _, name := range []string{"a\u017fb", "a\u212ab", "a\u0130b", "a\u0131b"} {
		assert.Contains(t, LabelSlug(name), "---", name)
	}
}
