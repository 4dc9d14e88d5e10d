package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWithoutACommandTheHelpGoesToStandardError(t *testing.T) {
	got := slipway(t, "")
	assert.Equal(t, exitInvalid, got.code)
	assert.Empty(t, got.out)
	assert.Contains(t, got.err, "Available Commands:")
}

func TestUnknownCommandIsWrongUsage(t *testing.T) {
	got := slipway(t, "", "lunch")
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, `unknown command "lunch"`)
}

func TestAskedHelpIsOutput(t *testing.T) {
	got := slipway(t, "", "render", "--help")
	assert.Equal(t, exitGood, got.code)
	assert.Contains(t, got.out, "--namespace-label")
	assert.Empty(t, got.err)
}

func TestVersion(t *testing.T) {
	got := slipway(t, "", "version")
	assert.Equal(t, exitGood, got.code)
	assert.Regexp(t, `^slipway unknown go1\.\d+\S* \w+/\w+\n$`, got.out)
}

func TestCompletionForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := slipway(t, "", "completion", shell)
		assert.Equal(t, exitGood, got.code, got.err)
		assert.Contains(t, got.out, "slipway")
	}
}

func TestLaunchUsageIsCheckedBeforeAnythingIsAsked(t *testing.T) {
	for name, args := range map[string][]string{
		"no user":       {"launch", "jupyter-alice", "--hub", "h"},
		"two names":     {"launch", "a", "b", "--user", "alice"},
		"environment":   {"launch", "a", "--hub", "h", "--user", "alice", "--env", "A=1"},
		"unknown state": {"launch", "a", "--hub", "h", "--user", "alice", "--until", "dawn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", "/nowhere")
			got := slipway(t, "", args...)
			assert.Equal(t, exitInvalid, got.code, got.err)
			assert.Empty(t, got.out)
		})
	}
}
