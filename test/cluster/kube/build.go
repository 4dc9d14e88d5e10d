package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// binaryName is the file that is every program, by the name it is called by.
const binaryName = "kubernetes"

// programNames are the programs that the binary is.
var programNames = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
}

// Build compiles Kubernetes, once for each version of it and of Go, and returns
// the path of the binary in the cache: ${XDG_CACHE_HOME:-~/.cache}/slipway/<key>/.
// Beside it is a symbolic link for each program, so
// filepath.Join(filepath.Dir(binary), "kubectl") is kubectl.
//
// The first time takes minutes; progress gets what goes on (nil: nothing is
// shown). Where another process builds, Build waits for it and takes its
// result. When ctx ends it leaves neither processes nor half-made files.
//
// Where KUBEBUILDER_ASSETS names a folder with etcd, kube-apiserver and
// kubectl, nothing is built and binary is the kube-apiserver of that folder.
func Build(ctx context.Context, progress io.Writer) (binary string, err error) {
	return findPrograms(ctx, progress, []string{"etcd", "kube-apiserver", "kubectl"})
}

// findPrograms is Build for callers that need certain programs.
func findPrograms(ctx context.Context, progress io.Writer, wanted []string) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		missing := missingPrograms(assets, wanted)
		if len(missing) == 0 {
			return filepath.Join(assets, "kube-apiserver"), nil
		}
		fmt.Fprintf(progress, "KUBEBUILDER_ASSETS names %s, which has no %s; using our own\n",
			assets, strings.Join(missing, ", "))
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	return (&builder{source: source, cache: cache, goCommand: "go", out: progress}).build(ctx)
}

// missingPrograms returns those of the wanted programs that the folder lacks.
func missingPrograms(dir string, wanted []string) []string {
	var missing []string
	for _, name := range wanted {
		info, err := os.Stat(filepath.Join(dir, name)) //nolint:gosec // the developer names the folder
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// builder makes the binary of one source folder in one cache.
type builder struct {
	source, cache string
	goCommand     string
	out           io.Writer // gets the progress
}

func (b *builder) build(ctx context.Context) (string, error) {
	how, err := b.recipe(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(b.cache, how.key, binaryName)
	if built(binary) {
		return binary, nil
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if built(binary) { // by the process that had the lock
		return binary, nil
	}
	if err := b.compile(ctx, how, filepath.Dir(binary)); err != nil {
		return "", fmt.Errorf("build Kubernetes from %s: %w", b.source, err)
	}
	return binary, nil
}

// built says whether the binary is there. It comes into the cache complete and
// in one step.
func built(binary string) bool {
	return len(missingPrograms(filepath.Dir(binary), append([]string{binaryName}, programNames...))) == 0
}

// compile fills the target folder. The caller has the lock.
func (b *builder) compile(ctx context.Context, how recipe, target string) (err error) {
	if err := b.removePartial(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.removePartial()) }()
	partial := target + partialSuffix
	result, scratch := filepath.Join(partial, "result"), filepath.Join(partial, "scratch")
	for _, dir := range []string{result, scratch} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("make a folder in the cache: %w", err)
		}
	}
	if err := b.runGo(ctx, how, scratch, filepath.Join(result, binaryName)); err != nil {
		return err
	}
	for _, name := range programNames {
		if err := os.Symlink(binaryName, filepath.Join(result, name)); err != nil {
			return fmt.Errorf("link a program: %w", err)
		}
	}
	// Where the folder is there all the same, somebody has taken files out of it.
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove what is incomplete: %w", err)
	}
	if err := os.Rename(result, target); err != nil {
		return fmt.Errorf("put the binary into the cache: %w", err)
	}
	return nil
}

// runGo downloads the modules and compiles them into the binary.
func (b *builder) runGo(ctx context.Context, how recipe, scratch, binary string) error {
	p := showProgress(b.out)
	defer p.stop()
	p.notef("Building Kubernetes %s from Go modules, once: 5 to 10 minutes on two cores. It is kept in %s.",
		how.version, b.cache)

	// What isn't in Go's own cache yet is what there is to do. Listing it
	// downloads the modules.
	p.step("downloading modules", 0)
	stale, err := b.goOutput(ctx, how, scratch, p.download, append(how.listArgs(), ".")...)
	if err != nil {
		return err
	}
	p.step("compiling and linking packages", len(strings.Fields(stale)))
	if _, err := b.goOutput(ctx, how, scratch, p.compile, append(how.buildArgs(binary), ".")...); err != nil {
		return err
	}
	p.step("done", 0)
	return nil
}

// partialSuffix marks a folder that is being built.
const partialSuffix = ".kubernetes-partial"

// removePartial removes what is half made, by us or by a process that was
// killed. The caller has the lock, so nobody is at work on it.
func (b *builder) removePartial() error {
	folders, err := filepath.Glob(filepath.Join(b.cache, "*"+partialSuffix))
	if err != nil {
		return fmt.Errorf("look for half-made builds: %w", err)
	}
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("remove a half-made build: %w", err)
		}
	}
	return nil
}

// goOutput runs the Go command in the source folder and returns its standard
// output. Each line of its standard error goes to the callback, which says
// whether it is progress; the others are the explanation of a failure.
func (b *builder) goOutput(ctx context.Context, how recipe, scratch string, progress func(line string) bool, args ...string) (string, error) {
	var stdout, complaint strings.Builder
	cmd := b.goCmd(how, args...)
	cmd.Env = append(cmd.Env, "GOTMPDIR="+scratch)
	cmd.Stdout = &stdout
	errs := &lineWriter{line: func(line string) {
		if !progress(line) {
			complaint.WriteString(line + "\n")
		}
	}}
	cmd.Stderr = errs
	cmd.WaitDelay = stopGrace
	// On an interrupt go stops its compilers and removes its files.
	running, err := startChild(cmd, syscall.SIGINT)
	if err != nil {
		return "", err
	}
	select {
	case <-running.exited:
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), running.stop(syscall.SIGINT, stopGrace))
	}
	errs.flush()
	if running.err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], running.err, strings.TrimSpace(complaint.String()))
	}
	return stdout.String(), nil
}
