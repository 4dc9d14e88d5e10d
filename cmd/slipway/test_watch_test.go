package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWatchRunsTheTestsAgainAfterEachChange(t *testing.T) {
	folder := testFolder(t, `- {name: alice, identity: {user: alice}, namespace: {name: home}, expect: {pod: {spec: {nodeSelector: {pool: users}}}}}`)
	policy := filepath.Join(folder, "home.yaml")
	ctx, stop := context.WithCancel(t.Context())
	said, out := io.Pipe()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"test", "--watch", folder}, streams{out: out, err: out})
		out.Close()
	}()
	lines := bufio.NewScanner(said)
	// until gives what is said up to a line that begins so.
	until := func(begin string) string {
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), begin) {
				return all.String()
			}
		}
		require.Fail(t, "ended before "+begin, all.String())
		return ""
	}
	assert.Contains(t, until("Waiting"), "0 passed, 1 failed")

	replace := func(text string) { // in one step, as editors and git do
		write(t, policy+"~", text)
		require.NoError(t, os.Rename(policy+"~", policy))
	}
	replace(read(t, policy) + "    nodeSelector: {pool: users}\n")
	again := until("Waiting")
	assert.Regexp(t, `^\n\d\d:\d\d:\d\d  `+policy+" changed\n", again)
	assert.Contains(t, again, "1 passed, 0 failed")

	replace("\t")
	assert.Contains(t, until("Waiting"), "home.yaml: ")

	// A folder that comes is watched too.
	replace(read(t, "testdata/home.yaml"))
	until("Waiting")
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "more_test.yaml"), "policies: [..]\ntests:\n"+
		"- {name: bob, identity: {user: bob}, namespace: {name: home}, expect: {noClaim: true}}\n")
	require.NoError(t, os.Rename(elsewhere, filepath.Join(folder, "more")))
	assert.Contains(t, until("Waiting"), "0 passed, 2 failed")
	more := filepath.Join(folder, "more", "more_test.yaml")
	write(t, more+"~", strings.ReplaceAll(read(t, more), "noClaim: true", "claim: {}"))
	require.NoError(t, os.Rename(more+"~", more))
	assert.Contains(t, until("Waiting"), "1 passed, 1 failed")

	stop()
	go func() { _, _ = io.Copy(io.Discard, said) }()
	assert.Equal(t, exitGood, <-code)
}

func TestWatchWaitsUntilNothingMoreChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, errs := make(chan fsnotify.Event), make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		type change struct {
			name string
			err  error
			at   time.Time
		}
		changes := make(chan change)
		next := func() {
			name, err := nextChange(ctx, events, errs, func(e fsnotify.Event) bool { return e.Name != "report.xml" })
			changes <- change{name, err, time.Now()}
		}

		began := time.Now()
		go next()
		<-time.After(time.Hour) // nobody changes anything, and nothing is said
		events <- fsnotify.Event{Name: "report.xml"}
		for _, name := range []string{"./a.yaml", "b.yaml", "a.yaml", "report.xml"} {
			<-time.After(quiet * 9 / 10)
			events <- fsnotify.Event{Name: name}
		}
		got := <-changes
		assert.Equal(t, "a.yaml", got.name)
		assert.Equal(t, time.Hour+3*quiet*9/10+quiet, got.at.Sub(began), "the report's file doesn't count")

		go next()
		errs <- fsnotify.ErrEventOverflow
		assert.Equal(t, "more than could be followed", (<-changes).name)

		go next()
		errs <- errors.New("the disk is gone")
		assert.EqualError(t, (<-changes).err, "the disk is gone")

		go next()
		stop()
		assert.Empty(t, (<-changes).name)
	})
}

func TestWatchFollowsAllThatTestsAreMadeOf(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, empty := range []string{"tests/.git/x.yaml", "tests/testdata/x.yaml", "policies/a.yaml", "elsewhere/p.yaml", "tests/deep/b_test.yaml"} {
		write(t, at(empty), "")
	}
	write(t, at("tests/a_test.yaml"), `policies: [../policies, ../elsewhere/p.yaml]
tests:
- {name: a, pod: sent/pod.txt, claims: [`+at("claims/c")+`], identity: {user: alice}, expect: {exactPod: testdata/alice.yaml}}`)
	files := filesOfTests([]string{at("tests")})
	want := []string{"tests", "tests/deep", "tests/testdata", "tests/sent", "policies", "elsewhere", "claims"}
	for i, name := range want {
		want[i] = at(name)
	}
	assert.ElementsMatch(t, want, files.folders.UnsortedList())

	for name, concerns := range map[string]bool{
		"tests/new.yaml": true, "tests/sent/pod.txt": true, "claims/c": true, "policies": true, "tests/.git": true,
		"tests/report.xml": false, "tests/home.yaml~": false, "tests/gone": false,
	} {
		assert.Equal(t, concerns, files.concerns(fsnotify.Event{Name: at(name), Op: fsnotify.Write}), name)
		assert.False(t, files.concerns(fsnotify.Event{Name: at(name), Op: fsnotify.Chmod}), name)
	}
}

func TestWatchIsForPeopleWhoLookAtWhatChanged(t *testing.T) {
	folder := testFolder(t, "- {name: a, identity: {user: alice}, expect: {noClaim: true}}")
	got := slipway(t, "", "test", "--watch", "--update", folder)
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, "[update watch]")
	got = slipway(t, "", "test", "--watch", "-o", "junit", folder)
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, "--watch writes a table after each change, and no junit")
}
