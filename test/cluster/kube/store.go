package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// Entry of etcd.
type Entry struct {
	// Key is /registry/RESOURCE/NAMESPACE/NAME for most objects, and Value what
	// the API server writes there: for its own kinds, protobuf after four bytes.
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// putsAtOnce is how many requests to write are under way at a time.
const putsAtOnce = 16

// Stored reads the entry of a key.
func (c *Cluster) Stored(ctx context.Context, key string) (Entry, error) {
	var answer struct {
		Entries []Entry `json:"kvs"`
	}
	if err := c.askEtcd(ctx, "/v3/kv/range", map[string]any{"key": []byte(key)}, &answer); err != nil {
		return Entry{}, err
	}
	if len(answer.Entries) != 1 {
		return Entry{}, fmt.Errorf("etcd has no key %s", key)
	}
	return answer.Entries[0], nil
}

// Store writes entries past the API server, whose clients see them a moment
// later, as if another API server had written them. It is for objects by the
// thousand, each of which equals one that came the usual way.
//
// Each has a transaction of its own: objects of one revision are something
// that the API server never makes, and its watches lose some of them.
func (c *Cluster) Store(ctx context.Context, entries []Entry) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(putsAtOnce)
	for _, e := range entries {
		group.Go(func() error { return c.askEtcd(ctx, "/v3/kv/put", e, nil) })
	}
	return group.Wait()
}

// askEtcd uses the JSON form of etcd's API.
func (c *Cluster) askEtcd(ctx context.Context, path string, question, answer any) error {
	client, err := rest.HTTPClientFor(c.etcd)
	if err != nil {
		return fmt.Errorf("make a client of etcd: %w", err)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode a question to etcd: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.etcd.Host+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status + ": " + string(said))
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(said, answer)
	}
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	return nil
}
