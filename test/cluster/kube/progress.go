package kube

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// On a terminal one line is rewritten, which may be often; elsewhere, as in the
// log of a CI job, each state is a line of its own.
const rewriteEvery, lineEvery = 500 * time.Millisecond, 15 * time.Second

// progress shows a person what is being done, how far it is and how long it has
// taken.
type progress struct {
	out      io.Writer
	of       string // what every line begins with
	terminal bool
	started  time.Time
	quit     chan struct{}
	finished chan struct{}

	mu          sync.Mutex
	doing       string
	count, goal int  // goal 0: not known
	shown       bool // an unfinished line is on the terminal
}

// showProgress shows until stop is called what is being done to something.
func showProgress(out io.Writer, of string) *progress {
	if out == nil {
		out = io.Discard
	}
	return showProgressOn(out, of, isTerminal(out))
}

func showProgressOn(out io.Writer, of string, terminal bool) *progress {
	p := &progress{
		out: out, of: of, terminal: terminal, started: time.Now(),
		quit: make(chan struct{}), finished: make(chan struct{}),
	}
	every := lineEvery
	if p.terminal {
		every = rewriteEvery
	}
	go func() {
		defer close(p.finished)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-tick.C:
				p.mu.Lock()
				p.show()
				p.mu.Unlock()
			}
		}
	}()
	return p
}

// stop ends the showing. Nothing is written after it has returned.
func (p *progress) stop() {
	close(p.quit)
	<-p.finished
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLine()
}

// notef writes a line that stays.
func (p *progress) notef(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLine()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// step begins the next piece of work. The goal is the count at which it is
// done; 0: not known.
func (p *progress) step(doing string, goal int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.count, p.goal = doing, 0, goal
	p.show()
}

// download counts a line of go that says which module it downloads.
func (p *progress) download(line string) bool {
	if !strings.HasPrefix(line, "go: downloading ") {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return true
}

// compile counts a line of go build -v, which is the path of a package.
func (p *progress) compile(line string) bool {
	if p.download(line) {
		return true
	}
	if line == "" || strings.ContainsAny(line, " \t:#") {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return true
}

// show writes the state. The caller has the lock.
func (p *progress) show() {
	state := p.of + ": " + p.doing
	switch {
	case p.goal > 0:
		state += fmt.Sprintf(", %d of %d", p.count, p.goal)
	case p.count > 0:
		state += fmt.Sprintf(", %d", p.count)
	}
	state += ", " + time.Since(p.started).Round(time.Second).String()
	if p.terminal {
		// Back to the start of the line, and clear what was there.
		fmt.Fprint(p.out, "\r\x1b[K"+state)
		p.shown = true
		return
	}
	fmt.Fprintln(p.out, state)
}

// endLine leaves the last state on the terminal. The caller has the lock.
func (p *progress) endLine() {
	if p.shown {
		fmt.Fprintln(p.out)
		p.shown = false
	}
}

// isTerminal says whether a line that was written can be rewritten.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// lineWriter hands on what is written line by line.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.rest = append(w.rest, data...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		w.line(string(line))
		w.rest = rest
	}
}

// flush hands on a last line that has no end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
}
