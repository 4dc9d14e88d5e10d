package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// reviewer answers token reviews as an API server that knows these tokens, and counts how often it was asked. No fake client does:
// it answers one question at a time.
type reviewer struct {
	authenticationclient.TokenReviewInterface

	of    map[string]authenticationv1.TokenReviewStatus
	fails error
	// waits has questions about tokens that aren't in of wait until it is closed; nil: none waits.
	waits chan struct{}
	asked atomic.Int64
}

func (r *reviewer) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	r.asked.Add(1)
	if len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != Audience {
		return nil, fmt.Errorf("asked for audiences %q", review.Spec.Audiences)
	}
	status, known := r.of[review.Spec.Token]
	if r.waits != nil && !known {
		<-r.waits
	}
	review.Status = status
	return review, r.fails
}

func (r *reviewer) tokens() *Tokens {
	return NewTokens(r, map[string][]string{"jupyter/hub": {"main", "course"}})
}

// jwt is what the API server writes, but for the signature. The id tells one from another.
func jwt(claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln"
}

// ofHub is a token that says to be the hub's, and for us.
func ofHub(id string) string {
	return jwt(map[string]any{"sub": hubUser, "aud": []string{Audience}, "jti": id})
}

func known(user string, audiences ...string) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: user}, Audiences: audiences}
}

const hubUser = "system:serviceaccount:jupyter:hub"

// knowing gives a reviewer that knows one token of the hub.
func knowing(token string) *reviewer {
	return &reviewer{of: map[string]authenticationv1.TokenReviewStatus{token: known(hubUser, Audience)}}
}

func withToken(token string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
}

func TestATokenSaysForWhichHubsItsAccountSpeaks(t *testing.T) {
	good := ofHub("good")
	for _, scheme := range []string{"Bearer ", "bearer "} {
		caller, err := knowing(good).tokens().Caller(&http.Request{Header: http.Header{"Authorization": {scheme + good}}})
		require.NoError(t, err)
		assert.Equal(t, Caller{Name: hubUser, Hubs: []string{"main", "course"}}, caller)
	}
}

func TestWhoIsNotKnownIsUnauthenticated(t *testing.T) {
	api, unchecked := ofHub("api"), ofHub("unchecked")
	for name, c := range map[string]struct {
		authorization string
		asked         int64
	}{
		"no token":                                 {"", 0},
		"an empty one":                             {"Bearer ", 0},
		"a password":                               {"Basic aHVi", 0},
		"one that is no JWT":                       {"Bearer hub", 0},
		"one whose claims aren't base64":           {"Bearer e30.{}.c2ln", 0},
		"one whose claims aren't JSON":             {"Bearer e30.e30x.c2ln", 0},
		"one that is for nobody":                   {"Bearer " + jwt(map[string]any{"sub": hubUser}), 0},
		"one that is for the API server":           {"Bearer " + jwt(map[string]any{"sub": hubUser, "aud": []string{"https://kubernetes.default.svc"}}), 0},
		"one that the API server doesn't take":     {"Bearer " + ofHub("made up"), 1},
		"one that says our audience, and isn't so": {"Bearer " + api, 1},
		"one whose audience nobody checked":        {"Bearer " + unchecked, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reviewer{of: map[string]authenticationv1.TokenReviewStatus{
				api: known(hubUser, "https://kubernetes.default.svc"), unchecked: known(hubUser),
			}}
			h := New(Options{Launcher: &told{server: running()}, Callers: r.tokens()})
			answer, body := ask(t, h, http.MethodGet, "/v1/hubs/main/servers", "", "Authorization: "+c.authorization)
			p := problemIn(t, answer, body)
			assert.Equal(t, http.StatusUnauthorized, p.Status)
			assert.Equal(t, CodeUnauthenticated, p.Code)
			assert.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
			assert.Equal(t, c.asked, r.asked.Load(), "questions to the API server")
		})
	}
}

func TestAnAccountThatIsNotListedIsToldSoAndNobodyIsAsked(t *testing.T) {
	r := &reviewer{}
	h := New(Options{Launcher: &told{server: running()}, Callers: r.tokens()})
	answer, body := askAs(t, h, jwt(map[string]any{"sub": "system:serviceaccount:jupyter:other", "aud": []string{Audience}}))
	p := problemIn(t, answer, body)
	assert.Equal(t, http.StatusForbidden, p.Status)
	assert.Equal(t, CodeHubNotAllowed, p.Code)
	assert.Contains(t, p.Detail, "--account")
	assert.False(t, p.Retryable)
	assert.Zero(t, r.asked.Load())
}

func TestATokenIsAskedAboutOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := knowing(ofHub("good"))
		tokens := r.tokens()
		ask := func(id string, times int64) {
			t.Helper()
			_, err := tokens.Caller(withToken(ofHub(id)))
			assert.Equal(t, id == "good", err == nil)
			assert.Equal(t, times, r.asked.Load())
		}
		ask("good", 1)
		ask("good", 1)
		time.Sleep(believed) //nolint:forbidigo // on the clock of the bubble
		ask("good", 2)
		ask("made up", 3)
		ask("made up", 3)
		time.Sleep(disbelieved + 1) //nolint:forbidigo // on the clock of the bubble
		ask("made up", 4)
		ask("good", 4)
	})
}

func TestATokenThatIsRevokedIsRefusedAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := ofHub("good")
		r := knowing(good)
		tokens := r.tokens()
		_, err := tokens.Caller(withToken(good))
		require.NoError(t, err)
		clear(r.of)
		time.Sleep(believed) //nolint:forbidigo // on the clock of the bubble
		for range 2 {
			_, err = tokens.Caller(withToken(good))
			require.ErrorIs(t, err, ErrUnauthenticated)
		}
		assert.EqualValues(t, 2, r.asked.Load())
	})
}

// However many tokens somebody makes up, the API server is asked about a few at a time, and the hub goes on.
func TestMadeUpTokensKeepNobodyElseOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := ofHub("good")
		r := knowing(good)
		tokens := r.tokens()
		h := New(Options{Launcher: &told{server: running()}, Callers: tokens})
		_, err := tokens.Caller(withToken(good))
		require.NoError(t, err)
		for i := range maxTaken + maxRefused + 1 {
			_, err := tokens.Caller(withToken(ofHub(fmt.Sprint(i))))
			require.ErrorIs(t, err, ErrUnauthenticated)
		}
		assert.LessOrEqual(t, len(tokens.refused.Keys()), maxRefused)
		asked := r.asked.Load()
		_, err = tokens.Caller(withToken(good))
		require.NoError(t, err)
		assert.Equal(t, asked, r.asked.Load(), "what was said about the good one is forgotten")

		r.waits = make(chan struct{})
		for i := range maxReviews {
			go func() { _, _ = tokens.Caller(withToken(ofHub(fmt.Sprintf("slow %d", i)))) }()
		}
		synctest.Wait()
		answer, body := askAs(t, h, ofHub("one more"))
		p := problemIn(t, answer, body)
		assert.Equal(t, http.StatusTooManyRequests, p.Status)
		assert.Equal(t, CodeTooManyRequests, p.Code)
		assert.True(t, p.Retryable)
		assert.Equal(t, "2", answer.Header.Get("Retry-After"))

		time.Sleep(believed) //nolint:forbidigo // on the clock of the bubble
		_, err = tokens.Caller(withToken(good))
		require.NoError(t, err, "a token that was good a minute ago waits for no other")
		close(r.waits)
		synctest.Wait()
		answer, _ = askAs(t, h, ofHub("one more"))
		assert.Equal(t, http.StatusUnauthorized, answer.StatusCode, "that there was no room isn't remembered")
	})
}

func TestWhereTheAPIServerDoesNotAnswerNobodyIsTurnedAwayForGood(t *testing.T) {
	r := knowing(ofHub("good"))
	r.fails = errors.New("no route to host")
	h := New(Options{Launcher: &told{server: running()}, Callers: r.tokens()})
	for times := range int64(2) {
		answer, body := askAs(t, h, ofHub("good"))
		p := problemIn(t, answer, body)
		assert.Equal(t, http.StatusServiceUnavailable, p.Status)
		assert.True(t, p.Retryable)
		assert.Equal(t, times+1, r.asked.Load(), "a failure isn't remembered")
	}
	r.fails = nil
	answer, _ := askAs(t, h, ofHub("good"))
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}

func askAs(t *testing.T, h http.Handler, token string) (*answer, string) {
	t.Helper()
	return ask(t, h, http.MethodGet, "/v1/hubs/main/servers", "", "Authorization: Bearer "+token)
}
