package chart

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	helmModule = "../../tools/helm/go.mod"
	// chartModule pins kubeconform and the CRDs of other products.
	chartModule = "../../tools/chart/go.mod"
)

// Programs of the tools' modules. The Go command takes ten times as long as the program itself, so it is asked once.
var (
	helmProgram        = sync.OnceValues(func() (string, error) { return program(helmModule, "helm") })
	kubeconformProgram = sync.OnceValues(func() (string, error) { return program(chartModule, "kubeconform") })
)

// program builds a tool of a module, if need be, and says where it is.
func program(module, tool string) (string, error) {
	var says bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "go", "tool", "-n", "-modfile="+module, tool)
	cmd.Stderr = &says
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build %s: %w: %s", tool, err, says.String())
	}
	return strings.TrimSpace(string(path)), nil
}

// run runs a program and gives its output and what it says of an error.
func run(t *testing.T, program func() (string, error), stdin string, args ...string) (out, says string, err error) {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// helm runs the pinned helm.
func helm(t *testing.T, stdin string, args ...string) (out, says string, err error) {
	t.Helper()
	return run(t, helmProgram, stdin, args...)
}
