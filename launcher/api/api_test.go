package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

var update = flag.Bool("update", false, "write golden files anew")

// told answers what a test tells it to, and remembers what it was asked.
type told struct {
	notReady error
	err      error
	server   *launcher.Server
	// started is what Start gives; nil: server.
	started *launcher.Server
	steps   chan launcher.Step
	claims  []launcher.Claim
	offer   launcher.Offer

	request launcher.Request
	key     launcher.Key
	startID string
	all     bool
	how     launcher.StopOptions
	ended   chan struct{}
}

func (l *told) Ready() error { return l.notReady }

func (l *told) Start(_ context.Context, r launcher.Request) (*launcher.Server, error) {
	l.request = r
	if l.started != nil {
		return l.started, l.err
	}
	return l.server, l.err
}

func (l *told) Stop(_ context.Context, k launcher.Key, o launcher.StopOptions) (*launcher.Server, error) {
	l.key, l.how = k, o
	return l.server, l.err
}

func (l *told) Get(k launcher.Key) (*launcher.Server, error) {
	l.key = k
	if l.server == nil {
		return nil, launcher.ErrNotFound
	}
	return l.server, nil
}

func (l *told) List(string) []*launcher.Server {
	if l.server == nil {
		return nil
	}
	return []*launcher.Server{l.server}
}

func (l *told) Progress(ctx context.Context, k launcher.Key, startID string) iter.Seq[launcher.Step] {
	l.key, l.startID = k, startID
	return func(yield func(launcher.Step) bool) {
		defer close(l.ended)
		for {
			select {
			case s := <-l.steps:
				if !yield(s) || s.Done {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *told) Profiles(_ context.Context, r launcher.Request) (*launcher.Offer, error) {
	l.request = r
	return &l.offer, l.err
}

func (l *told) Claims(context.Context, string, string) ([]launcher.Claim, error) {
	return l.claims, l.err
}

func (l *told) DeleteClaims(_ context.Context, k launcher.Key, all bool) ([]launcher.Claim, error) {
	l.key, l.all = k, all
	return l.claims, l.err
}

// anyone speaks for the hub main.
var anyone = Local{"main"}

func handler(t *testing.T, l *told) *Handler {
	t.Helper()
	h := New(Options{Launcher: l, Callers: anyone, Heartbeat: time.Hour})
	return h
}

// answer is one without its body.
type answer struct {
	StatusCode int
	Header     http.Header
}

// ask sends a request and gives the answer, and its body.
func ask(t *testing.T, h http.Handler, method, path, body string, headers ...string) (*answer, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return &answer{w.Code, w.Header()}, w.Body.String()
}

// problemIn gives the problem that the answer must be.
func problemIn(t *testing.T, answer *answer, body string) Problem {
	t.Helper()
	assert.Equal(t, problemType, answer.Header.Get("Content-Type"))
	var p Problem
	require.NoError(t, json.Unmarshal([]byte(body), &p), "%s", body)
	assert.Equal(t, answer.StatusCode, p.Status)
	assert.Equal(t, http.StatusText(answer.StatusCode), p.Title)
	assert.NotEmpty(t, p.Detail)
	return p
}

func running() *launcher.Server {
	return &launcher.Server{
		Key: launcher.Key{Hub: "main", User: "alice", Name: "gpu"}, Namespace: "research", Pod: "jupyter-alice--gpu", UID: "1", StartID8: "x7k2m9qa",
		State: launcher.Running, URL: "http://10.0.0.1:8888", Profile: "gpu", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

const runningJSON = `{"hub":"main","user":"alice","name":"gpu","namespace":"research","pod":"jupyter-alice--gpu","uid":"1","startId8":"x7k2m9qa",
	"state":"Running","url":"http://10.0.0.1:8888","profile":"gpu","created":"2026-01-02T03:04:05Z"}`

func TestStartHandsEverythingOn(t *testing.T) {
	l := &told{started: running()}
	answer, body := ask(t, handler(t, l), http.MethodPut, "/v1/hubs/main/users/al%2Fice%20%C3%A4/servers/g%2Fpu", `{
		"startId": "s", "namespace": "research", "userId": 7, "groups": ["staff", ""], "profile": "gpu", "options": {"image": "pytorch"},
		"userAnnotations": {"uid": "1001"}, "env": {"A.b-C_1": "x"}, "files": {"ssl.key": "k"}, "timeoutSeconds": 90}`)
	assert.Equal(t, http.StatusCreated, answer.StatusCode)
	assert.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	assert.JSONEq(t, runningJSON, body)
	assert.Equal(t, launcher.Request{
		Key: launcher.Key{Hub: "main", User: "al/ice ä", Name: "g/pu"}, StartID: "s", Namespace: "research", UserID: new(int64(7)),
		Groups: []string{"staff", ""}, Profile: "gpu", Options: map[string]string{"image": "pytorch"},
		UserAnnotations: map[string]string{"uid": "1001"}, Env: map[string]string{"A.b-C_1": "x"}, Files: map[string]string{"ssl.key": "k"},
		Timeout: 90 * time.Second,
	}, l.request)

	ask(t, handler(t, l), http.MethodPut, "/v1/hubs/main/users/alice/server", `{"startId": "s", "userId": 7.0, "timeoutSeconds": 9e1}`)
	assert.Equal(t, int64(7), *l.request.UserID)
	assert.Equal(t, 90*time.Second, l.request.Timeout)
	ask(t, handler(t, l), http.MethodPut, "/v1/hubs/main/users/alice/server", `{"startId": "s", "groups": null, "userId": null, "env": null}`)
	assert.Equal(t, launcher.Request{Key: launcher.Key{Hub: "main", User: "alice"}, StartID: "s"}, l.request, "null is left out")
}

func TestStartSaysWhetherItHadBeenMade(t *testing.T) {
	later := running()
	later.UID = "2"
	for name, c := range map[string]struct {
		l      *told
		status int
	}{
		"none was there":  {&told{started: running()}, http.StatusCreated},
		"it was there":    {&told{server: running()}, http.StatusOK},
		"it was replaced": {&told{server: running(), started: later}, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			answer, _ := ask(t, handler(t, c.l), http.MethodPut, "/v1/hubs/main/users/alice/server", `{"startId": "s"}`)
			assert.Equal(t, c.status, answer.StatusCode)
		})
	}
}

func TestServersAreListedAndGot(t *testing.T) {
	l := &told{}
	_, body := ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/servers", "")
	assert.JSONEq(t, `{"servers":[]}`, body)
	answer, body := ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/server", "")
	assert.Equal(t, CodeNotFound, problemIn(t, answer, body).Code)

	l.server = running()
	_, body = ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/servers", "")
	assert.JSONEq(t, `{"servers":[`+runningJSON+`]}`, body)
	_, body = ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/servers/gpu", "", "Accept: text/html")
	assert.JSONEq(t, runningJSON, body)
	assert.Equal(t, running().Key, l.key)

	l.server.State, l.server.ExitCode, l.server.Message, l.server.URL = launcher.Stopped, new(int32(0)), "it ended", ""
	_, body = ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/servers/gpu", "")
	assert.Contains(t, body, `"exitCode":0`)
	assert.NotContains(t, body, `"url"`)
}

func TestStopHandsOnHowLongToWait(t *testing.T) {
	l := &told{server: running()}
	answer, body := ask(t, handler(t, l), http.MethodDelete, "/v1/hubs/main/users/alice/server?gracePeriodSeconds=0&waitSeconds=5", "")
	assert.Equal(t, http.StatusAccepted, answer.StatusCode)
	assert.JSONEq(t, runningJSON, body)
	assert.Equal(t, launcher.StopOptions{GracePeriod: new(time.Duration(0)), Wait: 5 * time.Second}, l.how)
	assert.Equal(t, launcher.Key{Hub: "main", User: "alice"}, l.key)

	for name, l := range map[string]*told{"gone": {}, "never there": {err: launcher.ErrNotFound}} {
		t.Run(name, func(t *testing.T) {
			answer, body := ask(t, handler(t, l), http.MethodDelete, "/v1/hubs/main/users/alice/servers/gpu", "")
			assert.Equal(t, http.StatusNoContent, answer.StatusCode)
			assert.Empty(t, body)
			assert.Equal(t, launcher.StopOptions{}, l.how)
		})
	}
}

func TestProfilesAreThoseOfTheUser(t *testing.T) {
	l := &told{}
	_, body := ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/profiles", "")
	assert.JSONEq(t, `{"profiles":[]}`, body)
	assert.Equal(t, launcher.Request{Key: launcher.Key{Hub: "main", User: "alice"}}, l.request)

	l.offer = launcher.Offer{Profiles: []policy.Offered{{Slug: "gpu", DisplayName: "GPU", Default: true}}, DNS: "jupyter-alice--gpu.research"}
	_, body = ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/profiles?group=a%2Cb&group=c&server=gpu&namespace=research&userId=0", "")
	assert.JSONEq(t, `{"profiles":[{"slug":"gpu","displayName":"GPU","default":true}],"dnsName":"jupyter-alice--gpu.research"}`, body)
	assert.Equal(t, launcher.Request{
		Key: launcher.Key{Hub: "main", User: "alice", Name: "gpu"}, Namespace: "research", Groups: []string{"a,b", "c"}, UserID: new(int64(0)),
	}, l.request)
}

func TestClaimsAreOfOneServerOrOfAll(t *testing.T) {
	l := &told{claims: []launcher.Claim{{Namespace: "research", Name: "claim-alice", Key: running().Key, InUse: true}}}
	const claims = `{"claims":[{"namespace":"research","name":"claim-alice","hub":"main","user":"alice","server":"gpu","inUse":true,"deleteRequested":false}]}`
	for path, want := range map[string]struct {
		key launcher.Key
		all bool
	}{
		"/claims":             {launcher.Key{Hub: "main", User: "alice"}, true},
		"/server/claims":      {launcher.Key{Hub: "main", User: "alice"}, false},
		"/servers/gpu/claims": {launcher.Key{Hub: "main", User: "alice", Name: "gpu"}, false},
	} {
		t.Run(path, func(t *testing.T) {
			_, body := ask(t, handler(t, l), http.MethodDelete, "/v1/hubs/main/users/alice"+path, "")
			assert.JSONEq(t, claims, body)
			assert.Equal(t, want.key, l.key)
			assert.Equal(t, want.all, l.all)
		})
	}
	_, body := ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/claims", "")
	assert.JSONEq(t, claims, body)
	l.claims = nil
	_, body = ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/claims", "")
	assert.JSONEq(t, `{"claims":[]}`, body)
}

// denied is a refusal by policy as the API server hands it on.
func denied(reason metav1.StatusReason, code int32) error {
	return launcher.Explain(&apierrors.StatusError{ErrStatus: metav1.Status{
		Code: code, Reason: reason, Message: `admission webhook "x" denied the request: Slipway ProfileNotAllowed: not for you`,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
			{Type: "ProfileNotAllowed", Field: "metadata", Message: "not for you"}, {Type: "OptionInvalid", Message: "no such option"},
		}},
	}})
}

func TestErrorsAreProblems(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		err       error
		status    int
		code      string
		retryable bool
		says      string
	}{
		"policy refuses":        {denied(metav1.StatusReasonForbidden, 403), 403, "ProfileNotAllowed", false, "not for you"},
		"policy changed":        {denied(metav1.StatusReasonConflict, 409), 409, "ProfileNotAllowed", true, "not for you"},
		"hopeless":              {&launcher.Failure{Message: "no such image", Hopeless: true}, 409, CodeStartFailed, false, "no such image"},
		"not yet":               {&launcher.Failure{Message: "no node"}, 409, CodeStartFailed, true, "no node"},
		"quota":                 {fmt.Errorf("create pod: %w", apierrors.NewForbidden(pods, "p", errors.New("exceeded quota: q"))), 403, CodeQuotaExceeded, false, "exceeded quota: q"},
		"not read yet":          {errors.Join(launcher.ErrNotReady), 503, CodeNotReady, true, "not all"},
		"no right":              {apierrors.NewForbidden(pods, "p", errors.New("cannot create")), 503, CodeClusterUnavailable, true, "refuses the launcher"},
		"too many":              {apierrors.NewTooManyRequests("slow down", 7), 429, CodeTooManyRequests, true, "slow down"},
		"the API server's time": {apierrors.NewTimeoutError("slow", 1), 504, CodeTimeout, true, "slow"},
		"its own failure":       {apierrors.NewInternalError(errors.New("etcd")), 503, CodeClusterUnavailable, true, "etcd"},
		"somebody was faster":   {apierrors.NewConflict(pods, "p", errors.New("changed")), 409, CodeConflict, true, "changed"},
		"no such namespace":     {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), 409, CodeStartFailed, false, `"n" not found`},
		"time":                  {fmt.Errorf("waiting: %w", context.DeadlineExceeded), 504, CodeTimeout, true, "waiting"},
		"unreachable":           {&url.Error{Op: "Post", URL: "https://k", Err: io.EOF}, 503, CodeClusterUnavailable, true, "can't be reached"},
		"anything else":         {errors.New("a secret"), 500, CodeInternal, false, "its log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, body := ask(t, handler(t, &told{err: c.err}), http.MethodPut, "/v1/hubs/main/users/alice/server", `{"startId": "s"}`)
			p := problemIn(t, answer, body)
			assert.Equal(t, c.status, p.Status)
			assert.Equal(t, c.code, p.Code)
			assert.Equal(t, c.retryable, p.Retryable)
			assert.Contains(t, p.Detail, c.says)
			assert.NotContains(t, body, "a secret")
			retryAfter := answer.Header.Get("Retry-After")
			assert.Equal(t, c.status == 429 || c.status >= 503, retryAfter != "" && c.status != 409, retryAfter)
			if name == "too many" {
				assert.Equal(t, "7", retryAfter)
			}
		})
	}
}

func TestReasonsAreAllThere(t *testing.T) {
	answer, body := ask(t, handler(t, &told{err: denied(metav1.StatusReasonForbidden, 403)}), http.MethodPut, "/v1/hubs/main/users/alice/server", `{"startId": "s"}`)
	assert.Equal(t, []Reason{
		{Code: "ProfileNotAllowed", Field: "metadata", Message: "not for you"}, {Code: "OptionInvalid", Message: "no such option"},
	}, problemIn(t, answer, body).Reasons)
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	const server = "/v1/hubs/main/users/alice/server"
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		method, path, body string
		header             string
		status             int
		code, says         string
	}{
		"no such path":              {http.MethodGet, "/v1/hub", "", "", 404, CodeNoSuchPath, "openapi.json"},
		"the root":                  {http.MethodGet, "/", "", "", 404, CodeNoSuchPath, ""},
		"an empty segment":          {http.MethodGet, "/v1/hubs/main/users//server", "", "", 404, CodeNoSuchPath, "empty"},
		"a trailing slash":          {http.MethodGet, server + "/", "", "", 404, CodeNoSuchPath, "empty"},
		"a dot segment":             {http.MethodGet, "/v1/hubs/main/users/../server", "", "", 404, CodeNoSuchPath, ""},
		"no such method":            {http.MethodPost, server, "", "", 405, CodeMethodNotAllowed, "DELETE, GET, HEAD, PUT"},
		"another hub":               {http.MethodGet, "/v1/hubs/other/users/alice/server", "", "", 403, CodeHubNotAllowed, "--account"},
		"another hub's list":        {http.MethodGet, "/v1/hubs/other/servers", "", "", 403, CodeHubNotAllowed, ""},
		"a hub by another case":     {http.MethodGet, "/v1/hubs/Main/servers", "", "", 403, CodeHubNotAllowed, ""},
		"a path that is no text":    {http.MethodGet, "/v1/hubs/main/users/%FF/server", "", "", 400, CodeBadRequest, "UTF-8"},
		"a query that is no text":   {http.MethodGet, "/v1/hubs/main/users/a/profiles?group=%FF", "", "", 400, CodeBadRequest, "UTF-8"},
		"a broken query":            {http.MethodGet, "/v1/hubs/main/users/a/profiles?group=%zz", "", "", 400, CodeBadRequest, "query"},
		"an unknown parameter":      {http.MethodDelete, server + "?now=1", "", "", 422, CodeInvalid, "query.now"},
		"an empty number":           {http.MethodDelete, server + "?gracePeriodSeconds=", "", "", 422, CodeInvalid, "query.gracePeriodSeconds: may not be empty"},
		"a number twice":            {http.MethodDelete, server + "?waitSeconds=1&waitSeconds=2", "", "", 422, CodeInvalid, "given once"},
		"a negative time":           {http.MethodDelete, server + "?gracePeriodSeconds=-1", "", "", 422, CodeInvalid, "gracePeriodSeconds"},
		"an empty group":            {http.MethodGet, "/v1/hubs/main/users/a/profiles?group=&group=a", "", "", 422, CodeInvalid, "query.group"},
		"a long name":               {http.MethodGet, "/v1/hubs/main/users/" + long + "/server", "", "", 422, CodeInvalid, "path.user"},
		"another type of content":   {http.MethodPut, server, "startId=s", "Content-Type: application/x-www-form-urlencoded", 415, CodeUnsupportedMediaType, "JSON"},
		"a type like JSON":          {http.MethodPut, server, `{"startId":"s"}`, "Content-Type: application/merge-patch+json", 415, CodeUnsupportedMediaType, "JSON"},
		"no body":                   {http.MethodPut, server, "", "Content-Type: application/json", 400, CodeBadRequest, "required"},
		"no JSON":                   {http.MethodPut, server, "{", "", 400, CodeBadRequest, "body"},
		"no text":                   {http.MethodPut, server, "{\"startId\":\"\xff\"}", "", 400, CodeBadRequest, "UTF-8"},
		"no start id":               {http.MethodPut, server, "{}", "", 422, CodeInvalid, "startId"},
		"an empty start id":         {http.MethodPut, server, `{"startId":""}`, "", 422, CodeInvalid, "body.startId"},
		"a field by another case":   {http.MethodPut, server, `{"startID":"s"}`, "", 422, CodeInvalid, "startI"},
		"an unknown field":          {http.MethodPut, server, `{"startId":"s","image":"x"}`, "", 422, CodeInvalid, "body.image"},
		"a large body":              {http.MethodPut, server, `{"startId":"` + strings.Repeat("x", maxBody) + `"}`, "", 413, CodeBodyTooLarge, "1048576"},
		"a large environment":       {http.MethodPut, server, `{"startId":"s","env":{"A":"` + strings.Repeat("x", maxEnvironment) + `"}}`, "", 422, CodeInvalid, "body.env"},
		"a variable that is no key": {http.MethodPut, server, `{"startId":"s","env":{"A B":"topsecret"}}`, "", 422, CodeInvalid, `"A B"`},
		"another file":              {http.MethodPut, server, `{"startId":"s","files":{"x":"topsecret"}}`, "", 422, CodeInvalid, `"x"`},
		"a value that is no text":   {http.MethodPut, server, `{"startId":"s","env":{"A":["topsecret"]}}`, "", 422, CodeInvalid, "body.env.A"},
		"a broken environment":      {http.MethodPut, server, `{"startId":"s","env":{"A":"topsecret"`, "", 400, CodeBadRequest, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &told{server: running()}
			answer, body := ask(t, handler(t, l), c.method, c.path, c.body, c.header)
			p := problemIn(t, answer, body)
			assert.Equal(t, c.status, p.Status, body)
			assert.Equal(t, c.code, p.Code)
			assert.Contains(t, p.Detail, c.says)
			assert.NotContains(t, body, "topsecret", "a problem quotes no value")
			assert.Empty(t, l.request.StartID, "nothing is started")
			if c.status == http.StatusMethodNotAllowed {
				assert.Equal(t, "DELETE, GET, HEAD, PUT", answer.Header.Get("Allow"))
			}
		})
	}
}

func TestNothingIsToldBeforeTheServersAreKnown(t *testing.T) {
	answer, body := ask(t, handler(t, &told{notReady: errors.New("the pods aren't read yet")}), http.MethodGet, "/v1/hubs/main/users/alice/server", "")
	p := problemIn(t, answer, body)
	assert.Equal(t, http.StatusServiceUnavailable, p.Status)
	assert.Equal(t, CodeNotReady, p.Code)
	assert.NotEmpty(t, answer.Header.Get("Retry-After"))
}

func TestAPanicIsAProblem(t *testing.T) {
	answer, body := ask(t, handler(t, nil), http.MethodGet, "/v1/hubs/main/servers", "")
	assert.Equal(t, CodeInternal, problemIn(t, answer, body).Code)
}

// openStream opens a progress stream of a real server, and reads its greeting.
func openStream(t *testing.T, l *told, change func(*Options)) (*Handler, *bufio.Reader, context.CancelFunc) {
	t.Helper()
	l.steps, l.ended = make(chan launcher.Step), make(chan struct{})
	o := Options{Launcher: l, Callers: anyone, Heartbeat: time.Hour}
	if change != nil {
		change(&o)
	}
	h := New(o)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/hubs/main/users/alice/servers/gpu/progress", nil)
	require.NoError(t, err)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, answer.Body.Close()) })
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	body := bufio.NewReader(answer.Body)
	assert.Equal(t, ": here\n\n", block(t, body))
	return h, body, cancel
}

// block reads as far as an empty line.
func block(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text := ""
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err, text)
		text += line
		if line == "\n" {
			return text
		}
	}
}

func TestProgressComesAsItHappensAndEndsWithTheLastStep(t *testing.T) {
	l := &told{}
	_, body, _ := openStream(t, l, nil)
	l.steps <- launcher.Step{Progress: 0, Message: "asked for", Event: []byte(`{"a":
		1}`)}
	assert.Equal(t, "event: step\ndata: {\"progress\":0,\"message\":\"asked for\",\"event\":{\"a\":1},\"done\":false}\n\n", block(t, body))
	l.steps <- launcher.Step{Progress: 100, Message: "ready", Done: true, Server: running()}
	last := block(t, body)
	assert.Contains(t, last, `"done":true,"server":{"hub":"main"`)
	_, err := body.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, running().Key, l.key)
	<-l.ended
}

func TestProgressIsThatOfTheStartThatIsAskedAbout(t *testing.T) {
	for query, want := range map[string]string{"": "", "?startId=one": "one"} {
		l := &told{ended: make(chan struct{}), steps: make(chan launcher.Step, 1)}
		l.steps <- launcher.Step{Done: true}
		answer, _ := ask(t, handler(t, l), http.MethodGet, "/v1/hubs/main/users/alice/server/progress"+query, "")
		require.Equal(t, http.StatusOK, answer.StatusCode)
		<-l.ended
		assert.Equal(t, want, l.startID)
	}
}

func TestProgressSaysThatItIsAlive(t *testing.T) {
	_, body, _ := openStream(t, &told{}, func(o *Options) { o.Heartbeat = time.Millisecond })
	assert.Equal(t, ": still here\n\n", block(t, body))
	assert.Equal(t, ": still here\n\n", block(t, body))
}

func TestProgressEndsWithItsClient(t *testing.T) {
	l := &told{}
	_, _, cancel := openStream(t, l, nil)
	cancel()
	<-l.ended
}

func TestDrainingEndsProgressSoThatItIsAskedForAgain(t *testing.T) {
	l := &told{}
	h, body, _ := openStream(t, l, nil)
	h.Drain()
	h.Drain()
	assert.Equal(t, "retry: 1000\n\n", block(t, body))
	_, err := body.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	<-l.ended
	answer, _ := ask(t, h, http.MethodGet, "/v1/hubs/main/servers", "")
	assert.Equal(t, http.StatusOK, answer.StatusCode, "other requests go on")
}

func TestHeadOfProgressDoesNotWait(t *testing.T) {
	l := &told{}
	answer, _ := ask(t, handler(t, l), http.MethodHead, "/v1/hubs/main/users/alice/server/progress", "")
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}

func TestDescriptionIsCurrent(t *testing.T) {
	h := handler(t, &told{})
	got, err := h.YAML()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("openapi.yaml", got, 0o600))
		return
	}
	want, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "run make generate and read the difference")
	answer, body := ask(t, h, http.MethodGet, "/openapi.yaml", "")
	assert.Equal(t, "application/openapi+yaml", answer.Header.Get("Content-Type"))
	assert.Equal(t, string(got), body)
	answer, body = ask(t, h, http.MethodGet, "/openapi.json", "")
	assert.Equal(t, "application/openapi+json", answer.Header.Get("Content-Type"))
	assert.Contains(t, body, `"openapi":"3.1.0"`)
}
