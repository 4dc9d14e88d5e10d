package world

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/webhook"
)

// Gate stands between the API server and the replicas. It asks both, notes where they differ, and hands on what the
// first said: so every request of every test is a test that replicas agree.
type Gate struct {
	replicas []*Replica
	Port     int
	CA       []byte
	// Closed makes the webhook unreachable.
	Closed atomic.Bool
	// Alternate has each request answered by one replica, in turn, as a Service does.
	Alternate atomic.Bool
	turn      atomic.Uint32

	mu       sync.Mutex
	unjudged map[string]bool // policies that nobody judges, by namespace and name
	asked    int
	differed []string
	last     []byte // the last request for /mutate
}

func openGate(replicas []*Replica) (*Gate, error) {
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, err
	}
	g := &Gate{replicas: replicas, CA: pair.CA, unjudged: map[string]bool{}}
	server := httptest.NewUnstartedServer(g)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	g.Port = server.Listener.Addr().(*net.TCPAddr).Port
	return g, nil
}

// ServeHTTP closes the connection where the gate is closed.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || g.Closed.Load() {
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path == webhook.ValidatePolicyPath {
		g.judgePolicy(w, body)
		return
	}
	ask := g.Ask
	if g.Alternate.Load() {
		ask = g.replicas[int(g.turn.Add(1))%len(g.replicas)].ReviewAt
	}
	first, err := ask(r.URL.Path, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(first)
}

// Ask gives the first replica's answer.
func (g *Gate) Ask(path string, body []byte) ([]byte, error) {
	answers := make([][]byte, len(g.replicas))
	for i, r := range g.replicas {
		var err error
		if answers[i], err = r.ReviewAt(path, body); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if path == webhook.MutatePath {
		g.asked++
		g.last = body
	}
	for _, a := range answers[1:] {
		if !bytes.Equal(answers[0], a) {
			g.differed = append(g.differed, fmt.Sprintf("%s\n%s", answers[0], a))
		}
	}
	return answers[0], nil
}

// Unjudge lets one policy in, whatever is wrong with it, as if it had been written before there was a webhook.
func (g *Gate) Unjudge(namespace, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unjudged[namespace+"/"+name] = true
}

// judgePolicy asks the first replica alone: what two know of policies that were written just now may differ.
func (g *Gate) judgePolicy(w http.ResponseWriter, body []byte) {
	review := admissionv1.AdmissionReview{}
	answer, err := []byte(nil), json.Unmarshal(body, &review)
	if err == nil {
		g.mu.Lock()
		unjudged := g.unjudged[review.Request.Namespace+"/"+review.Request.Name]
		g.mu.Unlock()
		if unjudged {
			review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
			answer, err = json.Marshal(review)
		} else {
			answer, err = g.replicas[0].ReviewAt(webhook.ValidatePolicyPath, body)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// LastRequest is the AdmissionReview that the API server sent last.
func (g *Gate) LastRequest() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return bytes.Clone(g.last)
}

// Count says how often the API server asked /mutate, and what the replicas disagreed on.
func (g *Gate) Count() (asked int, differed []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked, g.differed
}

// Review sends an AdmissionReview to /mutate of this replica alone.
func (r *Replica) Review(body []byte) ([]byte, error) { return r.ReviewAt(webhook.MutatePath, body) }

// ReviewAt sends an AdmissionReview to one of this replica's webhooks.
func (r *Replica) ReviewAt(path string, body []byte) ([]byte, error) {
	answer, err := r.Client.Post(r.URL(path), "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status + ": " + string(got))
	}
	return got, err
}

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
