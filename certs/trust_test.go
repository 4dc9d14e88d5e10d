package certs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTrustIsSettledWhenEveryAPIServerKnows(t *testing.T) {
	const delay = 5 * time.Second
	at := func(s int) time.Time { return midday.Add(time.Duration(s) * time.Second) }
	var tr trust
	settled := func(authority string, now time.Time) any {
		is, wait := tr.settled(authority, delay, now)
		if is {
			return true
		}
		return wait
	}

	tr.observe(names{"old": true}, at(-100), at(0))
	assert.Equal(t, true, settled("old", at(0)), "nobody has changed anything for long")
	assert.Equal(t, time.Duration(0), settled("new", at(0)), "it isn't trusted at all")

	tr.observe(names{"old": true, "new": true}, at(3), at(4))
	assert.Equal(t, true, settled("old", at(4)))
	assert.Equal(t, delay, settled("new", at(4)))
	tr.observe(names{"old": true, "new": true}, at(6), at(7))
	assert.Equal(t, 2*time.Second, settled("new", at(7)), "another change takes nothing back")
	assert.Equal(t, true, settled("new", at(9)))

	tr.observe(names{"old": true}, at(9), at(9))
	tr.observe(names{"old": true, "new": true}, at(10), at(10))
	assert.Equal(t, delay, settled("new", at(10)), "but a gap does")

	tr.observe(names{"old": true, "new": true, "fast": true}, at(100), at(20))
	assert.Equal(t, delay, settled("fast", at(20)), "the API server's clock is fast")
	tr.observe(names{"old": true, "slow": true}, at(25), at(90))
	assert.Equal(t, delay, settled("slow", at(90)), "the API server's clock is slow")

	var begun trust
	begun.observe(names{"old": true}, at(100), at(20))
	tr = begun
	assert.Equal(t, delay, settled("old", at(20)), "the API server's clock is fast")
}

func TestWhenAConfigurationWasWrittenLast(t *testing.T) {
	entry := func(s int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Time: &metav1.Time{Time: midday.Add(time.Duration(s) * time.Second)}}
	}
	assert.Equal(t, time.Time{}, lastChange(nil))
	assert.Equal(t, midday.Add(8*time.Second), lastChange([]metav1.ManagedFieldsEntry{entry(3), entry(7), {}, entry(5)}), "its times are whole seconds, cut off")
}
