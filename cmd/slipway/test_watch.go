package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

// quiet is how long nothing may change before the tests run: an editor or git writes several files, or one in several steps.
const quiet = 100 * time.Millisecond

// watchTests runs tests, and again after each change of a file of theirs, until ctx ends. Tests that fail or can't be read are said, and
// waited for to be mended.
func watchTests(ctx context.Context, names []string, run func() error, w io.Writer) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return failed(fmt.Errorf("watch files: %w", err))
	}
	defer watcher.Close()
	paint := terminal.For(w)
	for {
		// Before the run, so that what changes during it is seen.
		files := filesOfTests(names)
		for folder := range files.folders {
			if err := watcher.Add(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
				return failed(fmt.Errorf("watch %s: %w", folder, err))
			}
		}
		if err := run(); err != nil {
			var why *failure
			if !errors.As(err, &why) || why.code == exitFailed {
				return err
			}
			report(w, why)
		}
		fmt.Fprintln(w, paint.Dim("Waiting for changes; Ctrl-C ends."))
		changed, err := nextChange(ctx, watcher.Events, watcher.Errors, files.concerns)
		if err != nil {
			return failed(fmt.Errorf("watch files: %w", err))
		}
		if changed == "" {
			return nil
		}
		fmt.Fprintln(w, "\n"+paint.Bold(time.Now().Format(time.TimeOnly)+"  "+changed+" changed"))
	}
}

// nextChange waits for a change that concerns the tests, and then until nothing more changes. It gives the first file that did; none
// when ctx ends.
func nextChange(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error, concerns func(fsnotify.Event) bool) (string, error) {
	changed := ""
	settled := time.NewTimer(quiet)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", nil
		case <-settled.C:
			if changed != "" {
				return changed, nil
			}
		case e := <-events:
			if !concerns(e) {
				continue
			}
			if changed == "" {
				changed = filepath.Clean(e.Name)
			}
			settled.Reset(quiet)
		case err := <-errs:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return "", err
			}
			changed = "more than could be followed" // something did, too much at once to hear what
			settled.Reset(quiet)
		}
	}
}

// testedFiles are what tests are made of.
type testedFiles struct {
	// folders are watched instead of files, which an editor replaces.
	folders sets.Set[string]
	// named are the files that tests name.
	named sets.Set[string]
}

// filesOfTests finds the files of tests, as far as they can be read.
func filesOfTests(names []string) testedFiles {
	files := testedFiles{sets.New[string](), sets.New[string]()}
	note := func(path string, isFolder bool) {
		if isFolder {
			files.folders.Insert(path)
			return
		}
		files.named.Insert(path)
		files.folders.Insert(filepath.Dir(path))
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			note(filepath.Clean(name), false)
			continue
		}
		_ = walkTests(name, func(path string, isFolder bool) { // the run says what can't be read
			if isFolder || path == filepath.Clean(name) {
				note(path, isFolder)
			}
		})
	}
	tests, _ := testFilesIn(names)
	for _, test := range tests {
		f, err := readTestFile(test)
		if err != nil {
			continue
		}
		for _, path := range f.names() {
			path = beside(test, path)
			info, err := os.Stat(path)
			note(path, err == nil && info.IsDir())
		}
	}
	return files
}

// concerns says whether a change may change what the tests find: of a file that is named, of one that may be a policy or a test, and of a
// folder. What else programs write beside them, such as a report, doesn't.
func (f testedFiles) concerns(e fsnotify.Event) bool {
	if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Write) && !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Rename) {
		return false
	}
	name := filepath.Clean(e.Name)
	if f.named.Has(name) || f.folders.Has(name) || slices.Contains(policyExtensions, filepath.Ext(name)) {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
