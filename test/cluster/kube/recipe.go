package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// recipe is all that the programs depend on.
type recipe struct {
	version string   // as v1.37.2
	flags   []string // of go build
	env     []string // of go build, as NAME=value
	key     string   // the hash of everything
}

// buildEnv makes the programs the same whatever the developer has set for other
// work. Without cgo no C compiler is needed and the programs are static.
var buildEnv = []string{
	"CGO_ENABLED=0", "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH, "GOWORK=off", "GOFLAGS=",
}

func (b *builder) recipe(ctx context.Context) (recipe, error) {
	how := recipe{env: buildEnv}
	hash := sha256.New()
	if err := b.hashSource(hash); err != nil {
		return recipe{}, err
	}
	var err error
	if how.version, err = b.version(); err != nil {
		return recipe{}, err
	}
	how.flags = b.flags(how.version)
	// Asked in the source folder, because its go.mod may want another toolchain.
	goVersion, err := b.goOutput(ctx, how, os.TempDir(), func(string) bool { return false }, "env", "GOVERSION")
	if err != nil {
		return recipe{}, fmt.Errorf("ask go for its version: %w", err)
	}
	fmt.Fprintf(hash, "%s\n%s\n%s\n", goVersion, strings.Join(how.flags, "\n"), strings.Join(how.env, "\n"))
	how.key = hex.EncodeToString(hash.Sum(nil))[:16]
	return how, nil
}

// hashSource puts the files of the module and their names into the hash.
func (b *builder) hashSource(hash io.Writer) error {
	source := os.DirFS(b.source)
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	return nil
}

// version finds the version of the upstream module in the go.mod.
func (b *builder) version() (string, error) {
	file := filepath.Join(b.source, "go.mod")
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the source: %w", err)
	}
	line := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(b.upstream) + ` (v\S+)`)
	version := line.FindSubmatch(content)
	if version == nil {
		return "", fmt.Errorf("%s does not require %s", file, b.upstream)
	}
	return string(version[1]), nil
}

// flags stamp the programs with their version, as a release is.
func (b *builder) flags(version string) []string {
	ldflags := []string{"-s", "-w"}
	for _, path := range b.stamped {
		numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
		ldflags = append(ldflags, "-X "+path+".gitVersion="+version,
			"-X "+path+".gitMajor="+numbers[0], "-X "+path+".gitMinor="+numbers[1])
	}
	flags := []string{"-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=" + strings.Join(ldflags, " ")}
	if b.tags != "" {
		flags = append(flags, "-tags="+b.tags)
	}
	return flags
}

// listArgs make go list every package that has to be compiled.
func (r recipe) listArgs() []string {
	return append(append([]string{"list"}, r.flags...), "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}")
}

// buildArgs make go build programs in a folder that is there, and name each
// package that it compiles.
func (r recipe) buildArgs(dir string) []string {
	return append(append([]string{"build"}, r.flags...), "-v", "-o", dir)
}

// goCmd is a Go command in the source folder, with the recipe's environment.
func (b *builder) goCmd(how recipe, args ...string) *exec.Cmd {
	cmd := command(b.goCommand, args...)
	cmd.Dir = b.source
	cmd.Env = append(os.Environ(), how.env...)
	return cmd
}

// cacheDir is where programs are kept between runs and between checkouts.
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

// repositoryDir finds this checkout, or, where the test was compiled with
// -trimpath and doesn't know where that is, the repository of the working
// folder.
func repositoryDir() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(file), "..", "..", ".."); isRepository(dir) {
			return dir, nil
		}
	}
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for up := working; ; up = filepath.Dir(up) {
		if isRepository(up) {
			return up, nil
		}
		if up == filepath.Dir(up) {
			return "", fmt.Errorf("no %s in %s or above it: run this inside the repository", Kubernetes.folder, working)
		}
	}
}

func isRepository(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, Kubernetes.folder, "go.mod"))
	return err == nil
}
