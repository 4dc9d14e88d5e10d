package webhook

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestADrainingReplicaTellsClientsToConnectElsewhere(t *testing.T) {
	var draining atomic.Bool
	handler := lastOnItsConnection(&draining, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for _, want := range []string{"", "close"} {
		draining.Store(want != "")
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, httptest.NewRequest(http.MethodPost, MutatePath, http.NoBody))
		assert.Equal(t, want, got.Header().Get("Connection"))
	}
}
