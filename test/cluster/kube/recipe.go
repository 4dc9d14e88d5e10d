package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// recipe is all that the binary depends on.
type recipe struct {
	version string   // of Kubernetes, as v1.37.2
	flags   []string // of go build
	env     []string // of go build, as NAME=value
	key     string   // the hash of everything
}

// buildEnv makes the binary the same whatever the developer has set for other
// work. Without cgo no C compiler is needed and the binary is static.
var buildEnv = []string{
	"CGO_ENABLED=0", "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH, "GOWORK=off", "GOFLAGS=",
}

// releaseLine finds the version of Kubernetes in the module's go.mod.
var releaseLine = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

func (b *builder) recipe(ctx context.Context) (recipe, error) {
	how := recipe{env: buildEnv}
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(b.source, name))
		if err != nil {
			return recipe{}, fmt.Errorf("read the source of the Kubernetes binary: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
		if name == "go.mod" {
			release := releaseLine.FindSubmatch(content)
			if release == nil {
				return recipe{}, fmt.Errorf("%s does not require k8s.io/kubernetes", filepath.Join(b.source, name))
			}
			how.version = string(release[1])
			how.flags = buildFlags(how.version, string(release[2]), string(release[3]))
		}
	}
	// Asked in the source folder, because its go.mod may want another toolchain.
	goVersion, err := b.goOutput(ctx, how, os.TempDir(), func(string) bool { return false }, "env", "GOVERSION")
	if err != nil {
		return recipe{}, fmt.Errorf("ask go for its version: %w", err)
	}
	fmt.Fprintf(hash, "%s\n%s\n%s\n", goVersion, strings.Join(how.flags, "\n"), strings.Join(how.env, "\n"))
	how.key = hex.EncodeToString(hash.Sum(nil))[:16]
	return how, nil
}

// buildFlags stamp the binary with its version, as a release is: clients look
// at it, and kubectl warns where it differs from the server's.
func buildFlags(version, major, minor string) []string {
	ldflags := []string{"-s", "-w"}
	for _, path := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		ldflags = append(ldflags, "-X "+path+".gitVersion="+version,
			"-X "+path+".gitMajor="+major, "-X "+path+".gitMinor="+minor)
	}
	return []string{"-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=" + strings.Join(ldflags, " ")}
}

// listArgs make go list every package that has to be compiled.
func (r recipe) listArgs() []string {
	return append(append([]string{"list"}, r.flags...), "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}")
}

// buildArgs make go build the binary and name each package that it compiles.
func (r recipe) buildArgs(binary string) []string {
	return append(append([]string{"build"}, r.flags...), "-v", "-o", binary)
}

// goCmd is a Go command in the source folder, with the recipe's environment.
func (b *builder) goCmd(how recipe, args ...string) *exec.Cmd {
	cmd := command(b.goCommand, args...)
	cmd.Dir = b.source
	cmd.Env = append(os.Environ(), how.env...)
	return cmd
}

// cacheDir is where binaries are kept between runs and between checkouts.
func cacheDir() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the cache folder: %w; set XDG_CACHE_HOME", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "slipway"), nil
}

// sourceDir finds the module of the binary: in this checkout, or, where the
// test was compiled with -trimpath and doesn't know where that is, in the
// repository of the working folder.
func sourceDir() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(filepath.Dir(file)), "programs", binaryName); isSource(dir) {
			return dir, nil
		}
	}
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source of the Kubernetes binary: %w", err)
	}
	for up := working; ; up = filepath.Dir(up) {
		if dir := filepath.Join(up, "test", "cluster", "programs", binaryName); isSource(dir) {
			return dir, nil
		}
		if up == filepath.Dir(up) {
			return "", fmt.Errorf("no test/cluster/programs/%s in %s or above it: run this inside the repository", binaryName, working)
		}
	}
}

func isSource(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
