package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Client calls a launcher's API on its socket, as a hub does.
type Client struct{ http *http.Client }

// NewClient is one of a socket.
func NewClient(socket string) *Client {
	dialer := new(net.Dialer)
	return &Client{&http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Server is what a hub reads of the launcher's answers.
type Server struct {
	User      string    `json:"user"`
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	UID       string    `json:"uid"`
	StartID8  string    `json:"startId8"`
	State     string    `json:"state"`
	Message   string    `json:"message"`
	URL       string    `json:"url"`
	Created   time.Time `json:"created"`
}

// Start asks for a user's default server.
type Start struct {
	StartID string            `json:"startId"`
	UserID  *int64            `json:"userId,omitempty"`
	Groups  []string          `json:"groups,omitempty"`
	Profile string            `json:"profile,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
}

// Problem is what a launcher answers that can't do what it was asked.
type Problem struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Retryable bool   `json:"retryable"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// Start starts a user's default server.
func (c *Client) Start(ctx context.Context, user string, s Start) (*Server, error) {
	return c.server(ctx, http.MethodPut, serverPath(user), s)
}

// Get gives it. One that isn't there is a Problem, of status 404.
func (c *Client) Get(ctx context.Context, user string) (*Server, error) {
	return c.server(ctx, http.MethodGet, serverPath(user), nil)
}

// Stop stops it and waits until it is gone, at most for so long; nil when it is.
func (c *Client) Stop(ctx context.Context, user string, wait time.Duration) (*Server, error) {
	return c.server(ctx, http.MethodDelete, fmt.Sprintf("%s?waitSeconds=%d", serverPath(user), int(wait.Seconds())), nil)
}

// List gives all of the hub, and how many bytes the answer had.
func (c *Client) List(ctx context.Context) (servers []Server, size int, err error) {
	body, err := c.call(ctx, http.MethodGet, "/v1/hubs/"+Hub+"/servers", nil)
	if err != nil {
		return nil, 0, err
	}
	var all struct {
		Servers []Server `json:"servers"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, 0, fmt.Errorf("read the list of servers: %w", err)
	}
	return all.Servers, len(body), nil
}

func serverPath(user string) string {
	return "/v1/hubs/" + Hub + "/users/" + url.PathEscape(user) + "/server"
}

func (c *Client) server(ctx context.Context, method, path string, body any) (*Server, error) {
	answer, err := c.call(ctx, method, path, body)
	if err != nil || len(answer) == 0 {
		return nil, err
	}
	s := new(Server)
	if err := json.Unmarshal(answer, s); err != nil {
		return nil, fmt.Errorf("read the server: %w", err)
	}
	return s, nil
}

func (c *Client) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var text io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://launcher"+path, text)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		problem := &Problem{Status: answer.StatusCode}
		if err := json.Unmarshal(got, problem); err != nil {
			return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, got)
		}
		return nil, problem
	}
	return got, nil
}
