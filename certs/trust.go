package certs

import "time"

// trust remembers since when the webhook configurations accept what an authority signed.
type trust struct {
	since map[string]time.Time
}

// observe takes in whom they accept, by authority, and when the last of them was changed. Whom they accept when this replica
// begins they have accepted since then; whom they accept later, since now. A clock that is fast would else call the change
// that it just saw an old one, and every rotation settled at once.
func (t *trust) observe(accepted names, changed, now time.Time) {
	since := map[string]time.Time{}
	for authority := range accepted {
		start, known := t.since[authority]
		switch {
		case known:
		case t.since == nil && changed.Before(now):
			start = changed
		default:
			start = now
		}
		since[authority] = start
	}
	t.since = since
}

// settled says whether an authority has been accepted for as long as API servers need to notice, and if not yet, how long
// that takes if nothing changes; 0: it isn't accepted at all.
func (t *trust) settled(authority string, delay time.Duration, now time.Time) (is bool, wait time.Duration) {
	since, accepted := t.since[authority]
	if !accepted {
		return false, 0
	}
	wait = since.Add(delay).Sub(now)
	return wait <= 0, max(wait, 0)
}
