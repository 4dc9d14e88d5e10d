package webhook

import (
	"net/http"
	"sync/atomic"
)

// lastOnItsConnection has each answer of a draining replica be the last on its connection, and says so to the client. The API
// server keeps connections for later requests: one that it sends when the server, at its end, closes what is idle would fail.
func lastOnItsConnection(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
