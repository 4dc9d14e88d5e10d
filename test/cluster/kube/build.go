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

// Build compiles Kubernetes where that has not been done, as
// [ProgramSet.Build] says, and returns the path of the binary. Beside it is a
// symbolic link for each program, so filepath.Join(filepath.Dir(binary),
// "kubectl") is kubectl.
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
	dir, err := Kubernetes.Build(ctx, progress)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, Kubernetes.programs[0]), nil
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

// builder makes the programs of one source folder in one cache.
type builder struct {
	ProgramSet

	source, cache string
	goCommand     string
	out           io.Writer // gets the progress
}

func (b *builder) build(ctx context.Context) (dir string, err error) {
	how, err := b.recipe(ctx)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(b.cache, how.key)
	if b.built(dir) {
		return dir, nil
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if b.built(dir) { // by the process that had the lock
		return dir, nil
	}
	return dir, b.compile(ctx, how, dir)
}

// built says whether the programs are there. They come into the cache complete
// and in one step.
func (b *builder) built(dir string) bool {
	return len(missingPrograms(dir, b.names())) == 0
}

// compile fills the target folder. The caller has the lock.
func (b *builder) compile(ctx context.Context, how recipe, target string) (err error) {
	if err := b.removePartial(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.removePartial()) }()
	partial := target + b.partialSuffix()
	result, scratch := filepath.Join(partial, "result"), filepath.Join(partial, "scratch")
	for _, dir := range []string{result, scratch} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("make a folder in the cache: %w", err)
		}
	}
	if err := b.runGo(ctx, how, scratch, result); err != nil {
		return err
	}
	for _, name := range b.links {
		if err := os.Symlink(b.programs[0], filepath.Join(result, name)); err != nil {
			return fmt.Errorf("link a program: %w", err)
		}
	}
	// Where the folder is there all the same, somebody has taken files out of it.
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove what is incomplete: %w", err)
	}
	if err := os.Rename(result, target); err != nil {
		return fmt.Errorf("put the programs into the cache: %w", err)
	}
	return nil
}

// runGo downloads the modules and compiles them into programs in the folder.
func (b *builder) runGo(ctx context.Context, how recipe, scratch, dir string) error {
	p := showProgress(b.out, b.name)
	defer p.stop()
	p.notef("Building %s %s from Go modules, once: %s on two cores. It is kept in %s.",
		b.name, how.version, b.takes, b.cache)

	// What isn't in Go's own cache yet is what there is to do. Listing it
	// downloads the modules.
	p.step("downloading modules", 0)
	stale, err := b.goOutput(ctx, how, scratch, p.download, append(how.listArgs(), b.packages...)...)
	if err != nil {
		return err
	}
	p.step("compiling and linking packages", len(strings.Fields(stale)))
	if _, err := b.goOutput(ctx, how, scratch, p.compile, append(how.buildArgs(dir), b.packages...)...); err != nil {
		return err
	}
	p.step("done", 0)
	return nil
}

// partialSuffix marks a folder in which the set is being built.
func (b *builder) partialSuffix() string {
	return "." + strings.ToLower(b.name) + "-partial"
}

// removePartial removes what is half made, by us or by a process that was
// killed. The caller has the lock, so nobody is at work on it.
func (b *builder) removePartial() error {
	folders, err := filepath.Glob(filepath.Join(b.cache, "*"+b.partialSuffix()))
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
	running, err := startChild(cmd, syscall.SIGINT, nil)
	if err != nil {
		return "", err
	}
	select {
	case <-running.exited:
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), running.stop(syscall.SIGINT))
	}
	errs.flush()
	if running.err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], running.err, strings.TrimSpace(complaint.String()))
	}
	return stdout.String(), nil
}
