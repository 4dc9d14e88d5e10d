package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// interrupted is a cluster whose user types an interrupt while an object is being made.
type interrupted struct {
	client.Client

	interrupt context.CancelFunc
	deleted   []client.Object
}

func (c *interrupted) Create(ctx context.Context, _ client.Object, _ ...client.CreateOption) error {
	c.interrupt()
	return ctx.Err()
}

func (c *interrupted) Delete(_ context.Context, o client.Object, _ ...client.DeleteOption) error {
	c.deleted = append(c.deleted, o)
	return nil
}

func TestWhatWasBeingMadeAtAnInterruptIsDeleted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	given := &interrupted{interrupt: interrupt}
	p := &plane{client: given}
	first, second := &unstructured.Unstructured{}, &unstructured.Unstructured{}

	require.NoError(t, p.create(ctx, first))
	require.ErrorIs(t, p.create(ctx, second), context.Canceled, "nothing is begun after it")
	require.NoError(t, p.close())

	assert.Equal(t, []client.Object{first}, given.deleted)
}
