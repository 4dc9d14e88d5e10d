// Package parity asks the real KubeSpawner what it makes of settings and a user, and compares that with what
// the engine makes of them.
package parity

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed oracle.py
var program string

// patience is how long one answer may take. KubeSpawner needs two milliseconds.
const patience = time.Minute

// Case is one server to make: settings and who it is for.
type Case struct {
	// Settings are KubeSpawner's traits by their Python names, as JSON values; and internal_ssl.
	Settings map[string]any `json:"settings,omitempty"`
	// Python are settings that JSON can't hold, by trait or trait[key]: the source of an expression, or of a function.
	// Only KubeSpawner sees them.
	Python map[string]string `json:"python,omitempty"`
	User   string            `json:"user"`
	// Server is the unescaped server name; "" is the default server.
	Server string `json:"server,omitempty"`
	// UserID is the hub's number of the user; 7 where it is nil.
	UserID *int64   `json:"user_id,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// AuthState is what the authenticator knows about the user; user.annotations on our side.
	AuthState map[string]string `json:"auth_state,omitempty"`
	// HubNamespace is where the hub itself runs; "default" where it is empty.
	HubNamespace string `json:"namespace,omitempty"`
	// Options are what the user chose: "profile", option names and NAME--unlisted-choice.
	Options map[string]string `json:"options,omitempty"`
	// Env is the environment of the hub's process, for env_keep.
	Env map[string]string `json:"env,omitempty"`
	// Prefix is the server's URL prefix; "" where the hub has no record of the server.
	Prefix string `json:"prefix,omitempty"`
}

// Answer is what KubeSpawner makes of a Case: objects, or the error that it raised.
type Answer struct {
	Pod json.RawMessage `json:"pod,omitempty"`
	// Claim is "null" where none is asked for.
	Claim json.RawMessage `json:"claim,omitempty"`
	Names AnswerNames     `json:"names"`
	// HubEnv is the environment that the hub gives whatever the settings of the pod are.
	HubEnv map[string]string `json:"hub_env,omitempty"`
	Error  *RaisedError      `json:"error,omitempty"`
}

// AnswerNames are the names that KubeSpawner gives a server's objects.
type AnswerNames struct {
	Pod       string `json:"pod"`
	Claim     string `json:"claim"`
	Secret    string `json:"secret"`
	Namespace string `json:"namespace"`
	DNS       string `json:"dns"`
	// Host is the name by which the hub reaches the server; nil where it uses the pod's address.
	Host *string `json:"host"`
}

// RaisedError is a Python exception.
type RaisedError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// Error is "TYPE: MESSAGE", as Python prints it.
func (r *RaisedError) Error() string { return r.Type + ": " + r.Message }

// Metadata is what the installed KubeSpawner says of itself.
type Metadata struct {
	Versions struct {
		KubeSpawner string `json:"kubespawner"`
		JupyterHub  string `json:"jupyterhub"`
	} `json:"versions"`
	Traits []Trait `json:"traits"`
	// Deprecated are old names of traits and what replaced them, maybe another old name.
	Deprecated map[string]string `json:"deprecated"`
}

// Trait is one setting as KubeSpawner declares it.
type Trait struct {
	Name string `json:"name"`
	// Type holds the names of traitlets types, joined by "|".
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
	// Inherited is true for what JupyterHub's own Spawner declares.
	Inherited bool `json:"inherited"`
	Default   any  `json:"default"`
}

// Oracle is a running KubeSpawner. It may be used from several goroutines; they take turns.
type Oracle struct {
	mu      sync.Mutex
	process *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	said    *bytes.Buffer
}

// Start starts an oracle, after making its environment if that isn't there yet; progress is told about that.
// The oracle ends with Close, with ctx, or with this process.
func Start(ctx context.Context, progress io.Writer) (*Oracle, error) {
	python, err := Python(ctx, progress)
	if err != nil {
		return nil, err
	}
	o := &Oracle{said: &bytes.Buffer{}}
	// -I and -X utf8: nothing of the caller's environment or folder reaches the oracle.
	o.process = exec.CommandContext(ctx, python, "-I", "-X", "utf8", "-c", program) // #nosec G204 -- both are our own
	o.process.Stderr = o.said
	if o.ask, err = o.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the oracle: %w", err)
	}
	answers, err := o.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the oracle: %w", err)
	}
	o.answers = bufio.NewReader(answers)
	if err := o.process.Start(); err != nil {
		return nil, fmt.Errorf("start the oracle: %w", err)
	}
	return o, nil
}

var shared = sync.OnceValues(func() (*Oracle, error) { return Start(context.Background(), os.Stderr) })

// ForTest returns the oracle that all tests of this process share. It ends with the process.
func ForTest(tb testing.TB) *Oracle {
	tb.Helper()
	o, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// Ask has KubeSpawner make a server. What KubeSpawner raises is in the answer; an error is the oracle's own.
func (o *Oracle) Ask(c Case) (Answer, error) {
	var answer Answer
	if err := o.exchange(c, &answer); err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// Profile is what a user may choose.
type Profile struct {
	Slug string `json:"slug"`
	// Options are the profile's options, each with its choices.
	Options map[string][]string `json:"options"`
}

// Profiles asks what the user of a case may choose.
func (o *Oracle) Profiles(c Case) ([]Profile, error) {
	question := struct {
		Case
		Profiles bool `json:"profiles"`
	}{c, true}
	var answer []Profile
	if err := o.exchange(question, &answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// Metadata asks which settings the installed KubeSpawner has.
func (o *Oracle) Metadata() (Metadata, error) {
	var answer Metadata
	if err := o.exchange(map[string]bool{"traits": true}, &answer); err != nil {
		return Metadata{}, err
	}
	return answer, nil
}

// Close ends the oracle.
func (o *Oracle) Close() error {
	if err := o.ask.Close(); err != nil {
		return fmt.Errorf("end the oracle: %w", err)
	}
	if err := o.process.Wait(); err != nil {
		return fmt.Errorf("end the oracle: %w", err)
	}
	return nil
}

func (o *Oracle) exchange(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("write the question to the oracle: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	watchdog := time.AfterFunc(patience, func() { _ = o.process.Process.Kill() })
	defer watchdog.Stop()
	if _, err := o.ask.Write(append(line, '\n')); err != nil {
		return o.broken(err)
	}
	if line, err = o.answers.ReadBytes('\n'); err != nil {
		return o.broken(err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("read the oracle's answer %.200q: %w", line, err)
	}
	return nil
}

// broken says why an oracle gives no answer. What it wrote to its standard error tells more than a broken pipe.
func (o *Oracle) broken(err error) error {
	_ = o.ask.Close()
	if ended := o.process.Wait(); ended != nil {
		err = errors.Join(err, ended)
	}
	return fmt.Errorf("the oracle gave no answer: %w: %s", err, strings.TrimSpace(o.said.String()))
}
