package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Python returns the interpreter of an environment that holds exactly what requirements.txt names. The first call
// on a machine makes the environment outside the checkout, which takes half a minute and says so on progress; later
// calls find it there. It looks for its files in the checkout around the working folder, which go test makes the package's.
func Python(ctx context.Context, progress io.Writer) (string, error) {
	root, err := checkout()
	if err != nil {
		return "", fmt.Errorf("make the oracle's Python environment: %w", err)
	}
	tool := filepath.Join(root, "tools", "pyenv.py")
	venv := exec.CommandContext(ctx, "python3", tool, filepath.Join(root, "test", "parity", "requirements.txt"))
	venv.Stderr = progress
	bin, err := venv.Output()
	if err != nil {
		return "", fmt.Errorf("make the oracle's Python environment with python3 %s: %w", tool, err)
	}
	return filepath.Join(strings.TrimSpace(string(bin)), "python"), nil
}

// checkout is the folder above the working one that holds all this.
func checkout() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "test", "parity", "requirements.txt")); err == nil {
			return at, nil
		}
		above := filepath.Dir(at)
		if above == at {
			return "", errors.New("no folder above the working one is a checkout of Slipway: run it in one")
		}
		at = above
	}
}
