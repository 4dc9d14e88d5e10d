//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// notebooks answers for the pods, on which nothing runs: at the address of each that says that it runs, and as long as it does.
type notebooks struct {
	port int
	open map[types.UID]*http.Server
}

// answerForPods does so until the test is over.
func answerForPods(t *testing.T, client kubernetes.Interface, namespace string, port int) {
	t.Helper()
	n := &notebooks{port: port, open: map[types.UID]*http.Server{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.follow(t, object) },
		UpdateFunc: func(_, object any) { n.follow(t, object) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if pod, ok := object.(metav1.Object); ok {
				n.close(pod.GetUID())
			}
		},
	})
	require.NoError(t, err)
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSyncWithContext(t.Context())
}

// follow is called by one goroutine.
func (n *notebooks) follow(t *testing.T, object any) {
	t.Helper()
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Status.PodIP == "" || n.open[pod.UID] != nil {
		return
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(n.port)))
	if err != nil {
		t.Errorf("answer for pod %s: %v", pod.Name, err)
		return
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})}
	n.open[pod.UID] = s
	go func() { _ = s.Serve(listener) }()
	context.AfterFunc(t.Context(), func() { _ = s.Close() })
}

func (n *notebooks) close(uid types.UID) {
	if s := n.open[uid]; s != nil {
		_ = s.Close()
		delete(n.open, uid)
	}
}
