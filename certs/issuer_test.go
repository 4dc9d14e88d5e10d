package certs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhenACertificateIsRenewed(t *testing.T) {
	const day = 24 * time.Hour
	good := selfSigned(t, midday, 90*day)
	at := func(d time.Duration) string { return midday.Add(d).Format(time.RFC3339) }
	for name, c := range map[string]struct {
		asked string
		hosts []string
		empty bool
		now   time.Duration // after it was made
		why   string        // empty: not now
		due   time.Duration // then
		err   string
	}{
		"just made":                   {due: 60 * day},
		"a day before":                {now: 59 * day, due: 60 * day},
		"two thirds are over":         {now: 60 * day, why: "two thirds"},
		"expired":                     {now: 91 * day, why: "expired"},
		"nothing there":               {empty: true, why: "tls.crt is empty"},
		"other hosts":                 {hosts: []string{"localhost"}, why: "isn't for the host"},
		"asked for":                   {asked: at(day), now: day, why: "slipway.dev/rotate-at"},
		"asked for, long ago":         {asked: at(day), now: 3 * day, why: "slipway.dev/rotate-at"},
		"asked for, later":            {asked: at(2 * day), now: day, due: 2 * day},
		"asked for, later than usual": {asked: at(70 * day), now: day, due: 60 * day},
		"asked for before":            {asked: at(-time.Second), now: day, due: 60 * day},
		// It must not be made again and again.
		"asked for in the very second": {asked: midday.Add(900 * time.Millisecond).Format(time.RFC3339Nano), now: time.Second, due: 60 * day},
		"asked for in words":           {asked: "now", due: 60 * day, err: `slipway.dev/rotate-at of Secret slipway-system/one is "now", which is no time; write it like`},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "slipway-system", Name: "one", Annotations: map[string]string{AnnotationRotateAt: c.asked}}}
			if !c.empty {
				secret.Data = dataOf(good)
			}
			if c.hosts == nil {
				c.hosts = []string{"127.0.0.1"}
			}
			why, due, err := renewal(secret, c.hosts, midday.Add(c.now))
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
			} else {
				assert.NoError(t, err)
			}
			if c.why == "" {
				assert.Empty(t, why)
				assert.Equal(t, midday.Add(c.due), due)
			} else {
				assert.Contains(t, why, c.why)
			}
		})
	}
}
