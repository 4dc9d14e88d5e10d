package certs

import (
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// AnnotationAuthorities holds, on a replica's Lease, the authorities that this replica needs clients to trust, as
// Authorities gives them.
const AnnotationAuthorities = "slipway.dev/authorities"

// dropAfter is how long nobody must need an authority before it is dropped: longer than a replica takes to read a new
// pair and report it.
const dropAfter = time.Minute

// idle finds out which authorities nobody needs any more.
type idle struct {
	since map[string]time.Time
}

// dropped are those that have expired, and those that nobody has needed for a while. needed nil: nobody knows who needs
// what at present.
func (i *idle) dropped(present authorities, needed names, after time.Duration, now time.Time) names {
	drop, since := names{}, map[string]time.Time{}
	for _, c := range present {
		name := fingerprint(c)
		start, known := i.since[name]
		switch {
		case now.After(c.NotAfter):
			drop[name] = true
			continue
		case needed == nil || needed[name]:
			continue
		case !known:
			start = now
		}
		since[name] = start
		if now.Sub(start) >= after {
			drop[name] = true
		}
	}
	i.since = since
	return drop
}

// reportedNeeds are the authorities that replicas need, by their Leases. Those that have expired count too: whoever leads
// the replicas deletes them.
func reportedNeeds(leases []any) (names, error) {
	needs := names{}
	for _, object := range leases {
		lease, ok := object.(*coordinationv1.Lease)
		if !ok {
			continue
		}
		reported := lease.Annotations[AnnotationAuthorities]
		if reported == "" {
			return nil, fmt.Errorf("the Lease %s/%s has no annotation %s", lease.Namespace, lease.Name, AnnotationAuthorities)
		}
		for name := range strings.SplitSeq(reported, ",") {
			needs[name] = true
		}
	}
	return needs, nil
}
