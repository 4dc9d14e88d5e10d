package parity

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// Python returns the interpreter of an environment that holds exactly what requirements.txt names. The first call
// on a machine makes the environment outside the checkout, which takes half a minute and says so on progress; later
// calls find it there. It looks for its files from the folder of this package or one beside it, where go test runs its tests.
func Python(ctx context.Context, progress io.Writer) (string, error) {
	tool := filepath.Join("..", "..", "tools", "pyenv.py")
	venv := exec.CommandContext(ctx, "python3", tool, filepath.Join("..", "parity", "requirements.txt"))
	venv.Stderr = progress
	bin, err := venv.Output()
	if err != nil {
		return "", fmt.Errorf("make the oracle's Python environment with python3 %s: %w", tool, err)
	}
	return filepath.Join(strings.TrimSpace(string(bin)), "python"), nil
}
