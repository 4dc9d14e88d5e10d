package launcher

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func recordFor(user string) *record {
	return &record{ObjectMeta: metav1.ObjectMeta{Name: "jupyter-" + user, UID: types.UID(user)}, server: Server{Key: Key{Hub: "main", User: user}}}
}

func TestWhoLooksAtOneServerHearsOfThatOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		alices, all := s.watchServer(t.Context(), Key{Hub: "main", User: "alice"}), s.watch(t.Context(), "main")
		s.put(recordFor("bob"))
		_, heard := alices.take()
		assert.False(t, heard)
		s.put(recordFor("alice"))
		n, heard := alices.take()
		assert.True(t, heard)
		assert.Equal(t, "alice", n.record.server.User)
		for _, user := range []string{"bob", "alice"} {
			n, _ := all.take()
			assert.Equal(t, user, n.record.server.User)
		}
	})
}

// A class starts at once, and each start looks at its own server: what one change costs mustn't grow with how many look.
func BenchmarkChangeWhileOthersLook(b *testing.B) {
	for _, looking := range []int{1, 1_000} {
		b.Run(fmt.Sprint(looking), func(b *testing.B) {
			s := newStore()
			for i := range looking {
				s.watchServer(b.Context(), Key{Hub: "main", User: fmt.Sprint("user-", i)})
			}
			r := recordFor("alice")
			b.ReportAllocs()
			for b.Loop() {
				s.put(r)
			}
		})
	}
}
