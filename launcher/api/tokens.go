package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Audience is what a hub's token must be made for, so that a token for the API server, or for another program, is of no use here.
const Audience = "slipway-launcher"

const (
	// believed is how long the API server's word on a token counts: that long a token that was revoked goes on.
	believed = time.Minute
	// disbelieved is shorter, since an account may have been made just now.
	disbelieved = 5 * time.Second
	// maxKnown bounds the memory that tokens take, whoever makes up how many.
	maxKnown = 4096
	// reviewTimeout bounds the question.
	reviewTimeout = 10 * time.Second
	// maxReviews bounds how many questions there are at once: whoever reaches the port can make up tokens.
	maxReviews = 16
)

// Tokens takes whom the API server knows by a bearer token that is made for Audience. It may be used by many goroutines at once.
type Tokens struct {
	reviews  authenticationclient.TokenReviewInterface
	accounts map[string][]string
	now      func() time.Time

	asking singleflight.Group
	room   chan struct{}
	mu     sync.Mutex
	known  map[[sha256.Size]byte]verdict
}

// verdict on a token.
type verdict struct {
	// user is empty where the API server doesn't take the token.
	user  string
	until time.Time
}

// NewTokens says which hubs each service account, NAMESPACE/NAME, speaks for. The launcher needs the right to create tokenreviews.
func NewTokens(reviews authenticationclient.TokenReviewInterface, accounts map[string][]string) *Tokens {
	hubs := make(map[string][]string, len(accounts))
	for account, of := range accounts {
		namespace, name, _ := strings.Cut(account, "/")
		hubs["system:serviceaccount:"+namespace+":"+name] = slices.Clone(of)
	}
	return &Tokens{reviews: reviews, accounts: hubs, now: time.Now, room: make(chan struct{}, maxReviews), known: map[[sha256.Size]byte]verdict{}}
}

// Caller is part of Callers. An account that isn't listed is known, and speaks for no hub.
func (t *Tokens) Caller(r *http.Request) (Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Caller{}, ErrUnauthenticated
	}
	user, err := t.user(r.Context(), token)
	if err != nil {
		return Caller{}, err
	}
	if user == "" {
		return Caller{}, ErrUnauthenticated
	}
	return Caller{Name: user, Hubs: t.accounts[user]}, nil
}

// user is whose token it is; empty: nobody's.
func (t *Tokens) user(ctx context.Context, token string) (string, error) {
	key := sha256.Sum256([]byte(token)) // no token is kept
	if v, ok := t.recall(key); ok {
		return v.user, nil
	}
	// One question for all who ask at once; it outlives the first of them.
	answer, err, _ := t.asking.Do(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		user, err := t.review(ctx, token)
		tokenReviews.WithLabelValues(reviewResult(user, err)).Inc()
		if err == nil {
			t.remember(key, user)
		}
		return user, err
	})
	if err != nil {
		return "", err
	}
	user, _ := answer.(string)
	return user, nil
}

func (t *Tokens) review(ctx context.Context, token string) (string, error) {
	select {
	case t.room <- struct{}{}:
		defer func() { <-t.room }()
	case <-ctx.Done():
		return "", fmt.Errorf("too many tokens are being asked about: %w", ctx.Err())
	}
	review, err := t.reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("this launcher may not create tokenreviews; grant its account that: %w", err)
	case err != nil:
		return "", fmt.Errorf("ask the API server about a token: %w", err)
	case !review.Status.Authenticated:
		return "", nil
	case !slices.Contains(review.Status.Audiences, Audience):
		// An authenticator that knows nothing of audiences leaves them out: then nobody has checked.
		return "", nil
	case review.Status.User.Username == "":
		return "", errors.New("the API server took a token, and doesn't say whose it is")
	}
	return review.Status.User.Username, nil
}

func (t *Tokens) recall(key [sha256.Size]byte) (verdict, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.known[key]
	return v, ok && t.now().Before(v.until)
}

func (t *Tokens) remember(key [sha256.Size]byte, user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.known) >= maxKnown {
		for k, v := range t.known {
			if !now.Before(v.until) {
				delete(t.known, k)
			}
		}
	}
	if len(t.known) >= maxKnown {
		// Made-up tokens are worth nothing, and a good one is asked about once more.
		clear(t.known)
	}
	lasts := believed
	if user == "" {
		lasts = disbelieved
	}
	t.known[key] = verdict{user: user, until: now.Add(lasts)}
}

func reviewResult(user string, err error) string {
	switch {
	case err != nil:
		return reviewFailed
	case user == "":
		return reviewRefused
	}
	return reviewTaken
}
