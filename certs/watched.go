package certs

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
)

// watched is one object that is followed by its name, so that nobody needs the right to read others.
type watched struct {
	name     string
	store    toolscache.Store
	informer toolscache.Controller
}

// watch follows an object once run is called; changed is called whenever the API server tells something of it.
func watch(client toolscache.Getter, resource, namespace, name string, object runtime.Object, changed func()) *watched {
	w := &watched{name: name}
	w.store, w.informer = toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: toolscache.NewListWatchFromClient(client, resource, namespace, fields.OneTermEqualSelector("metadata.name", name)),
		ObjectType:    object,
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
		},
	})
	return w
}

// object is nil where there is none.
func (w *watched) object() any {
	for _, object := range w.store.List() {
		return object
	}
	return nil
}

// secret is nil where there is none.
func (w *watched) secret() *corev1.Secret {
	secret, _ := w.object().(*corev1.Secret)
	return secret
}

// runAll follows objects until ctx ends, and returns when all are known, or ctx has ended: false.
func runAll(ctx context.Context, all []*watched) bool {
	synced := make([]toolscache.InformerSynced, 0, len(all))
	for _, w := range all {
		go w.informer.RunWithContext(ctx)
		synced = append(synced, w.informer.HasSynced)
	}
	return toolscache.WaitForCacheSync(ctx.Done(), synced...)
}
