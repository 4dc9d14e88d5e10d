package certs

import "time"

// trust remembers since when the webhook configurations accept what an authority signed.
type trust struct {
	since map[string]time.Time
	began bool
}

// observe takes in whether they do, by authority. What they accepted when this replica first looked counts as accepted for
// ever: others have served with it.
func (t *trust) observe(accepted map[string]bool, now time.Time) {
	since := map[string]time.Time{}
	for authority, is := range accepted {
		switch start, known := t.since[authority]; {
		case !is:
		case known:
			since[authority] = start
		case t.began:
			since[authority] = now
		default:
			since[authority] = time.Time{}
		}
	}
	t.since, t.began = since, true
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
