package webhook

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// stoppableCache is a cache for whose first sync nobody waits longer than until stopping ends.
//
// The manager of controller-runtime waits for its caches before anything else, and doesn't hear a stop meanwhile: told
// to end while the API server is unreachable or a right is missing, it spins for ever.
type stoppableCache struct {
	cache.Cache
	stopping context.Context
}

// newStoppableCache is a cache.NewCacheFunc for the manager.
func newStoppableCache(stopping context.Context) cache.NewCacheFunc {
	return func(config *rest.Config, o cache.Options) (cache.Cache, error) {
		o.NewInformer = cacheAges.informer
		c, err := cache.New(config, o)
		if err != nil {
			return nil, fmt.Errorf("make a cache: %w", err)
		}
		return &stoppableCache{Cache: c, stopping: stopping}, nil
	}
}

// WaitForCacheSync is true when the caches are synced and also when the replica is stopping, so that the manager goes
// on to its end. Whoever reads a cache that isn't synced gets an error.
func (c *stoppableCache) WaitForCacheSync(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.stopping, cancel)()
	return c.Cache.WaitForCacheSync(ctx) || c.stopping.Err() != nil
}
