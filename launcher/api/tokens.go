package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Audience is what a hub's token must be made for, so that a token for the API server, or for another program, is of no use here.
const Audience = "slipway-launcher"

const (
	// believed is how long the API server's word on a token counts: that long a token that was revoked goes on.
	believed = time.Minute
	// disbelieved is shorter, since an account may have been made just now.
	disbelieved = 5 * time.Second
	// remembered is how long a token that was taken is asked about before all others: until kubelet has replaced it.
	remembered = time.Hour
	// maxTaken and maxRefused bound the memory that tokens take. They are kept apart: whoever reaches the port can make up tokens.
	maxTaken, maxRefused = 4096, 1024
	// reviewTimeout bounds the question.
	reviewTimeout = 10 * time.Second
	// maxReviews bounds how many questions there are at once about tokens that were never taken.
	maxReviews = 16
)

// Tokens takes whom the API server knows by a bearer token that is made for Audience. It may be used by many goroutines at once.
type Tokens struct {
	reviews  authenticationclient.TokenReviewInterface
	accounts map[string][]string

	asking singleflight.Group
	room   chan struct{}
	// taken has a verdict, and refused has nothing, by the token's hash: no token is kept.
	taken, refused *cache.LRUExpireCache
}

// verdict on a token that was taken.
type verdict struct {
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
	return &Tokens{
		reviews: reviews, accounts: hubs, room: make(chan struct{}, maxReviews),
		taken: cache.NewLRUExpireCache(maxTaken), refused: cache.NewLRUExpireCache(maxRefused),
	}
}

// Caller is part of Callers.
func (t *Tokens) Caller(r *http.Request) (Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Caller{}, ErrUnauthenticated
	}
	if err := t.plausible(token); err != nil {
		return Caller{}, err
	}
	user, err := t.user(r.Context(), token)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Name: user, Hubs: t.accounts[user]}, nil
}

// plausible refuses what can't be a listed account's token, so that the API server isn't asked about it. It proves nothing:
// anybody can write such a token.
func (t *Tokens) plausible(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ErrUnauthenticated
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ErrUnauthenticated
	}
	var claims struct {
		Subject  string   `json:"sub"`
		Audience []string `json:"aud"` // the API server writes a list, be it of one
	}
	if json.Unmarshal(payload, &claims) != nil || !slices.Contains(claims.Audience, Audience) {
		return ErrUnauthenticated
	}
	if _, listed := t.accounts[claims.Subject]; !listed {
		return ErrNotListed
	}
	return nil
}

// user is whose token it is.
func (t *Tokens) user(ctx context.Context, token string) (string, error) {
	key := sha256.Sum256([]byte(token))
	known, wasTaken := t.taken.Get(key)
	if v, ok := known.(verdict); ok && time.Now().Before(v.until) {
		return v.user, nil
	}
	if _, ok := t.refused.Get(key); ok {
		return "", ErrUnauthenticated
	}
	// One question for all who ask at once; it outlives the first of them.
	answer, err, _ := t.asking.Do(string(key[:]), func() (any, error) {
		if !wasTaken {
			select {
			case t.room <- struct{}{}:
				defer func() { <-t.room }()
			default:
				return "", ErrBusy
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		user, err := t.review(ctx, token)
		tokenReviews.WithLabelValues(reviewResult(user, err)).Inc()
		if err == nil {
			t.note(key, user)
		}
		return user, err
	})
	if err != nil {
		return "", err
	}
	user, _ := answer.(string)
	if user == "" {
		return "", ErrUnauthenticated
	}
	return user, nil
}

// note remembers what the API server said.
func (t *Tokens) note(key [sha256.Size]byte, user string) {
	if user == "" {
		t.taken.Remove(key)
		t.refused.Add(key, nil, disbelieved)
		return
	}
	t.taken.Add(key, verdict{user: user, until: time.Now().Add(believed)}, remembered)
}

// review gives whose token it is; empty: nobody's.
func (t *Tokens) review(ctx context.Context, token string) (string, error) {
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

func reviewResult(user string, err error) string {
	switch {
	case err != nil:
		return reviewFailed
	case user == "":
		return reviewRefused
	}
	return reviewTaken
}
