package certs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// authority makes one that expires after a while.
func authorityOf(t *testing.T, valid time.Duration) authorities {
	t.Helper()
	cas, err := readAuthorities(selfSigned(t, midday, valid).CA)
	require.NoError(t, err)
	return cas
}

func TestAnAuthorityIsDroppedWhenNobodyHasNeededItForAWhile(t *testing.T) {
	const grace = time.Minute
	used, unused, short := authorityOf(t, 24*time.Hour), authorityOf(t, 24*time.Hour), authorityOf(t, time.Hour)
	all := used.with(unused...).with(short...)
	of := func(as ...authorities) names {
		n := names{}
		for _, a := range as {
			n[fingerprint(a[0])] = true
		}
		return n
	}
	var i idle
	drop := func(needed names, after time.Duration) names { return i.dropped(all, needed, grace, midday.Add(after)) }

	assert.Empty(t, drop(of(used, short), 0))
	assert.Empty(t, drop(of(used, short), grace-1))
	assert.Equal(t, of(unused), drop(of(used, short), grace))
	assert.Equal(t, of(unused), drop(of(used, short), grace+1), "until it is gone")

	assert.Empty(t, drop(of(used, unused, short), 2*grace), "somebody needs it after all")
	assert.Empty(t, drop(of(used, short), 2*grace+1), "the time begins anew")
	assert.Empty(t, drop(nil, 3*grace+1), "nobody knows who needs what")
	assert.Empty(t, drop(of(used, short), 3*grace+2))

	assert.Equal(t, of(short), drop(nil, 2*time.Hour), "what has expired goes in any case")
	assert.Equal(t, of(short), i.dropped(short, of(short), grace, midday.Add(2*time.Hour)))
}

func TestWhatReplicasNeedIsKnownOnlyIfAllHaveSaidIt(t *testing.T) {
	lease := func(authorities string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "slipway-system", Name: "slipway-webhook-one", Annotations: map[string]string{AnnotationAuthorities: authorities}}}
	}
	needs, err := reportedNeeds([]any{lease("a"), lease("a,b")})
	require.NoError(t, err)
	assert.Equal(t, names{"a": true, "b": true}, needs)
	needs, err = reportedNeeds(nil)
	require.NoError(t, err)
	assert.Equal(t, names{}, needs)
	needs, err = reportedNeeds([]any{lease("a"), lease("")})
	assert.Nil(t, needs)
	assert.ErrorContains(t, err, "the Lease slipway-system/slipway-webhook-one has no annotation slipway.dev/authorities")
}
