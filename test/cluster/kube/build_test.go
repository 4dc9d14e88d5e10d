package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeGo stands for the Go command. It notes what it is asked and builds an
// empty program; $BUILD is what else it does meanwhile.
const fakeGo = `#!/bin/sh
set -e
echo "$1" >> "$NOTES"
case $1 in
env) echo "$GOVERSION" ;;
list) echo "go: downloading example.com/m v1.0.0" >&2; printf 'pkg/a\npkg/b\n' ;;
build)
	while [ "$1" != -o ]; do shift; done
	: > "$GOTMPDIR/half-made"
	echo pkg/a >&2
	eval "$BUILD"
	: > "$2/kubernetes"
	chmod +x "$2/kubernetes"
esac
`

// newFake returns a builder with a fake Go command and a cache of its own, and
// the file in which the commands are noted.
func newFake(t *testing.T, build string) (b *builder, notes string) {
	t.Helper()
	dir := t.TempDir()
	b = &builder{ProgramSet: Kubernetes, source: filepath.Join(dir, "source"), cache: filepath.Join(dir, "cache"),
		goCommand: filepath.Join(dir, "go"), out: io.Discard}
	notes = filepath.Join(dir, "notes")
	t.Setenv("NOTES", notes)
	t.Setenv("BUILD", build)
	t.Setenv("GOVERSION", "go1.26.8")
	require.NoError(t, os.Mkdir(b.source, 0o755))
	write(t, b.goCommand, fakeGo, 0o755)
	write(t, filepath.Join(b.source, "go.mod"), "require k8s.io/kubernetes v1.37.2\n", 0o644)
	write(t, filepath.Join(b.source, "go.sum"), "", 0o644)
	write(t, filepath.Join(b.source, "main.go"), "package main\n", 0o644)
	return b, notes
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
}

// builds counts the builds among the noted commands.
func builds(t *testing.T, notes string) int {
	t.Helper()
	content, err := os.ReadFile(notes)
	require.NoError(t, err)
	return strings.Count(string(content), "build\n")
}

// output is a writer that can be read while it is written.
type output struct {
	mu sync.Mutex
	bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.String()
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, what)
}

// receive waits for what a goroutine has to say.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing came in time")
		panic("not reached")
	}
}

func TestBuildIsDoneOnce(t *testing.T) {
	b, notes := newFake(t, "")

	first, err := b.build(t.Context())
	require.NoError(t, err)
	second, err := b.build(t.Context())
	require.NoError(t, err)

	assert.Equal(t, first, second)
	assert.Equal(t, 1, builds(t, notes))
	assert.Empty(t, missingPrograms(first, Kubernetes.names()))
	requireOnlyBuilt(t, b, first)
}

// requireOnlyBuilt fails where the cache holds more than the lock and the
// folder of the programs; "" is none.
func requireOnlyBuilt(t *testing.T, b *builder, dir string) {
	t.Helper()
	entries, err := os.ReadDir(b.cache)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	expected := []string{"kubernetes.lock"}
	if dir != "" {
		expected = append(expected, filepath.Base(dir))
	}
	assert.ElementsMatch(t, expected, names)
}

func TestSecondBuildWaitsForTheFirstAndTakesItsResult(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	require.NoError(t, syscall.Mkfifo(gate, 0o600))
	first, notes := newFake(t, "read -r _ < "+gate+" || :")
	shown := &output{}
	second := *first
	second.out = shown

	results := make(chan string, 2)
	run := func(b *builder) {
		dir, err := b.build(t.Context())
		assert.NoError(t, err)
		results <- dir
	}
	go run(first)
	var open *os.File
	eventually(t, func() bool { // a writer gets in only while the fake build reads
		var err error
		open, err = os.OpenFile(gate, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	}, "the first build runs")
	go run(&second)
	eventually(t, func() bool {
		return strings.Contains(shown.String(), "waiting for another process")
	}, "the second says that it waits")
	assert.Empty(t, results, "nobody is done before the build is")
	require.NoError(t, open.Close())

	assert.Equal(t, receive(t, results), receive(t, results))
	assert.Equal(t, 1, builds(t, notes))
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	b, notes := newFake(t, "")
	unlock, err := b.lock(t.Context())
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	shown := &output{}
	b.out = shown
	failed := make(chan error, 1)

	go func() { _, err := b.build(ctx); failed <- err }()
	eventually(t, func() bool { return shown.String() != "" }, "it waits")
	cancel(enough)

	require.ErrorIs(t, receive(t, failed), enough)
	assert.Zero(t, builds(t, notes))
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	// A child in the background that doesn't listen to interrupts.
	b, _ := newFake(t, `sleep 1000 >/dev/null 2>&1 & echo $! > `+pidFile+`; wait`)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	failed := make(chan error, 1)

	go func() { _, err := b.build(ctx); failed <- err }()
	var pid int
	eventually(t, func() bool {
		content, _ := os.ReadFile(pidFile)
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil
	}, "the build has a child")
	cancel(enough)

	require.ErrorIs(t, receive(t, failed), enough)
	eventually(t, func() bool { return !running(pid) }, "the child is gone")
	requireOnlyBuilt(t, b, "")
}

func TestFailedBuildShowsWhatTheCompilerSaid(t *testing.T) {
	b, _ := newFake(t, `echo '# pkg/a' >&2; echo './a.go:1:1: boom' >&2; exit 1`)

	_, err := b.build(t.Context())

	require.ErrorContains(t, err, "go build: exit status 1\n# pkg/a\n./a.go:1:1: boom")
	assert.NotContains(t, err.Error(), "pkg/a\n./b", "the packages that compiled are not part of it")
	requireOnlyBuilt(t, b, "")
}

func TestBuildMendsWhatIsBroken(t *testing.T) {
	b, notes := newFake(t, "")
	dir, err := b.build(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "kubernetes")))
	// And this is what a build leaves that was killed.
	require.NoError(t, os.MkdirAll(filepath.Join(b.cache, "0123"+b.partialSuffix(), "result"), 0o755))

	again, err := b.build(t.Context())

	require.NoError(t, err)
	assert.Equal(t, dir, again)
	assert.Equal(t, 2, builds(t, notes))
	requireOnlyBuilt(t, b, dir)
}

func TestKeyChangesWithAllThatTheProgramsDependOn(t *testing.T) {
	b, _ := newFake(t, "")
	key := func() string {
		how, err := b.recipe(t.Context())
		require.NoError(t, err)
		return how.key
	}
	last := key()
	assert.Equal(t, last, key())
	for name, change := range map[string]func(){
		"main.go": func() { write(t, filepath.Join(b.source, "main.go"), "package main // other\n", 0o644) },
		"go.sum":  func() { write(t, filepath.Join(b.source, "go.sum"), "other\n", 0o644) },
		"go.mod":  func() { write(t, filepath.Join(b.source, "go.mod"), "require k8s.io/kubernetes v1.38.0\n", 0o644) },
		"Go":      func() { t.Setenv("GOVERSION", "go1.27.0") },
	} {
		change()
		assert.NotEqual(t, last, key(), name)
		last = key()
	}
}

func TestBinaryHasTheVersionThatTheModuleRequires(t *testing.T) {
	root, err := repositoryDir()
	require.NoError(t, err)
	how, err := (&builder{ProgramSet: Kubernetes, source: filepath.Join(root, Kubernetes.folder), goCommand: "go"}).recipe(t.Context())
	require.NoError(t, err)

	c := ForTest(t)
	version, err := c.client.Discovery().ServerVersion()
	require.NoError(t, err)

	assert.Equal(t, how.version, version.GitVersion)
	assert.Equal(t, how.version, "v"+version.Major+"."+version.Minor+how.version[strings.LastIndex(how.version, "."):])
}

func TestAssetsAreUsedWhereTheyHaveWhatIsNeeded(t *testing.T) {
	assets := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		write(t, filepath.Join(assets, name), "#!/bin/sh\n", 0o755)
	}

	binary, err := Build(t.Context(), nil)

	require.NoError(t, err)
	assert.Equal(t, filepath.Join(assets, "kube-apiserver"), binary)
	assert.Equal(t, []string{"kube-scheduler"}, missingPrograms(assets, []string{"etcd", "kube-scheduler"}))

	require.NoError(t, os.Chmod(filepath.Join(assets, "kubectl"), 0o644))
	shown := &output{}
	binary, err = Build(t.Context(), io.MultiWriter(shown, os.Stderr))

	require.NoError(t, err)
	assert.NotEqual(t, assets, filepath.Dir(binary))
	assert.Contains(t, shown.String(), "which has no kubectl; using our own")
}
