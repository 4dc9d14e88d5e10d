package world

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
)

// meddler is somebody else's mutating webhook, which comes after ours.
type meddler struct {
	change func(*corev1.Pod)
	asked  atomic.Int32
}

// Meddle has another mutating webhook change every pod that is created in a namespace, until the test ends.
func (w *World) Meddle(t *testing.T, namespace string, change func(*corev1.Pod)) {
	t.Helper()
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	require.NoError(t, err)
	m := &meddler{change: change}
	server := httptest.NewUnstartedServer(m)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	url := fmt.Sprintf("https://127.0.0.1:%d", server.Listener.Addr().(*net.TCPAddr).Port)
	api := w.Admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	name := "meddler-" + namespace
	_, err = api.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:         "meddler.example.org",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: pair.CA},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = api.Delete(cleanup(t), name, metav1.DeleteOptions{}) })
	require.NoError(t, Eventually(t.Context(), func() error { // the API server takes a moment to see it
		probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "notebook", Image: "a"}}}}
		_, _ = w.Forger.CoreV1().Pods(namespace).Create(t.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if m.asked.Load() == 0 {
			return fmt.Errorf("the API server doesn't ask the other webhook yet")
		}
		return nil
	}))
}

func (m *meddler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	m.asked.Add(1)
	review := admissionv1.AdmissionReview{}
	pod := &corev1.Pod{}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil || json.Unmarshal(body.Bytes(), &review) != nil || json.Unmarshal(review.Request.Object.Raw, pod) != nil {
		http.Error(rw, "no review", http.StatusBadRequest)
		return
	}
	m.change(pod)
	changed, err := json.Marshal(pod)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	operations, err := jsonpatch.CreatePatch(review.Request.Object.Raw, changed)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if len(operations) > 0 {
		review.Response.Patch, _ = json.Marshal(operations)
		review.Response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	}
	review.Request = nil
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(review)
}
