package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// reviewer answers token reviews as an API server that knows these tokens, and counts how often it was asked.
func reviewer(t *testing.T, of map[string]authenticationv1.TokenReviewStatus) (*Tokens, *int, *error) {
	t.Helper()
	client := fake.NewClientset()
	asked, fails := 0, error(nil)
	client.PrependReactor("create", "tokenreviews", func(a ktesting.Action) (bool, runtime.Object, error) {
		asked++
		if fails != nil {
			return true, nil, fails
		}
		review, ok := a.(ktesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		require.True(t, ok)
		assert.Equal(t, []string{Audience}, review.Spec.Audiences)
		review.Status = of[review.Spec.Token]
		return true, review, nil
	})
	return NewTokens(client.AuthenticationV1().TokenReviews(), map[string][]string{"jupyter/hub": {"main", "course"}}), &asked, &fails
}

func known(user string, audiences ...string) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: user}, Audiences: audiences}
}

const hubUser = "system:serviceaccount:jupyter:hub"

func withToken(authorization string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": {authorization}}}
}

func TestATokenSaysForWhichHubsItsAccountSpeaks(t *testing.T) {
	tokens, _, _ := reviewer(t, map[string]authenticationv1.TokenReviewStatus{
		"hub": known(hubUser, Audience), "other": known("system:serviceaccount:jupyter:other", Audience),
	})
	caller, err := tokens.Caller(withToken("Bearer hub"))
	require.NoError(t, err)
	assert.Equal(t, Caller{Name: hubUser, Hubs: []string{"main", "course"}}, caller)
	caller, err = tokens.Caller(withToken("bearer other"))
	require.NoError(t, err)
	assert.Empty(t, caller.Hubs, "an account that isn't listed")
}

func TestWhoIsNotKnownIsUnauthenticated(t *testing.T) {
	for name, authorization := range map[string]string{
		"no token": "", "an empty one": "Bearer ", "a password": "Basic aHVi", "one that the API server doesn't take": "Bearer nobody",
		"one for another audience": "Bearer api", "one whose audience nobody checked": "Bearer unchecked",
	} {
		t.Run(name, func(t *testing.T) {
			tokens, _, _ := reviewer(t, map[string]authenticationv1.TokenReviewStatus{
				"api": known(hubUser, "https://kubernetes.default.svc"), "unchecked": known(hubUser),
			})
			_, err := tokens.Caller(withToken(authorization))
			require.ErrorIs(t, err, ErrUnauthenticated)

			h := New(Options{Launcher: &told{server: running()}, Callers: tokens})
			answer, body := ask(t, h, http.MethodGet, "/v1/hubs/main/servers", "", "Authorization: "+authorization)
			p := problemIn(t, answer, body)
			assert.Equal(t, http.StatusUnauthorized, p.Status)
			assert.Equal(t, CodeUnauthenticated, p.Code)
			assert.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
		})
	}
}

func TestATokenIsAskedAboutOnceAMinute(t *testing.T) {
	tokens, asked, _ := reviewer(t, map[string]authenticationv1.TokenReviewStatus{"hub": known(hubUser, Audience)})
	now := time.Now()
	tokens.now = func() time.Time { return now }
	ask := func(token string, times int) {
		_, _ = tokens.Caller(withToken("Bearer " + token))
		assert.Equal(t, times, *asked)
	}
	ask("hub", 1)
	ask("hub", 1)
	now = now.Add(believed)
	ask("hub", 2)
	ask("nobody", 3)
	ask("nobody", 3)
	now = now.Add(disbelieved)
	ask("nobody", 4)
	ask("hub", 4)
}

func TestTokensTakeBoundedMemory(t *testing.T) {
	tokens, _, _ := reviewer(t, nil)
	for i := range maxKnown + 10 {
		tokens.remember([32]byte{byte(i), byte(i >> 8)}, "")
		assert.LessOrEqual(t, len(tokens.known), maxKnown)
	}
}

func TestWhereTheAPIServerDoesNotAnswerNobodyIsTurnedAwayForGood(t *testing.T) {
	tokens, asked, fails := reviewer(t, map[string]authenticationv1.TokenReviewStatus{"hub": known(hubUser, Audience)})
	*fails = errors.New("no route to host")
	h := New(Options{Launcher: &told{server: running()}, Callers: tokens})
	for times := range 2 {
		answer, body := askAs(t, h, "hub")
		p := problemIn(t, answer, body)
		assert.Equal(t, http.StatusServiceUnavailable, p.Status)
		assert.True(t, p.Retryable)
		assert.Equal(t, times+1, *asked, "a failure isn't remembered")
	}
	*fails = nil
	answer, _ := askAs(t, h, "hub")
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}

func askAs(t *testing.T, h http.Handler, token string) (*answer, string) {
	t.Helper()
	return ask(t, h, http.MethodGet, "/v1/hubs/main/servers", "", fmt.Sprintf("Authorization: Bearer %s", token))
}
