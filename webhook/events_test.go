package webhook

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

func noPolicy() []policy.Denial {
	return []policy.Denial{{Code: policy.NoPolicy, Message: `no policy matches hub "main"`}}
}

// collect gives events that are kept instead of written.
func collect() (*events, *[]*corev1.Event) {
	var kept []*corev1.Event
	return newEvents(func(_ context.Context, event *corev1.Event) error {
		kept = append(kept, event)
		return nil
	}, logr.Discard()), &kept
}

func TestADenialIsToldInThePodsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, kept := collect()
		go func() { _ = e.Start(t.Context()) }()
		m := testMutator(t)
		m.events, m.engine = e, &policies{}
		m.Handle(t.Context(), request(t, nil)) // the policies aren't read yet: no denial
		m.engine = testPolicies(t)
		m.Handle(t.Context(), request(t, nil))
		synctest.Wait()
		assert.Empty(t, *kept, "only denials are told of")

		denied := request(t, nil)
		denied.UserInfo.Username = "mallory"
		answer := m.Handle(t.Context(), denied)
		require.Equal(t, "LauncherNotAllowed", answer.AuditAnnotations[auditReason])
		synctest.Wait()
		require.Len(t, *kept, 1)
		event := (*kept)[0]
		assert.Equal(t, corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "research", Name: "jupyter-alice"}, event.InvolvedObject)
		assert.Equal(t, "research", event.Namespace)
		assert.Equal(t, corev1.EventTypeWarning, event.Type)
		assert.Equal(t, "LauncherNotAllowed", event.Reason)
		assert.Contains(t, event.Message, "account mallory")
		assert.Equal(t, "slipway-webhook", event.Source.Component)
		assert.Equal(t, int32(1), event.Count)

		denied.DryRun = new(true)
		m.Handle(t.Context(), denied)
		synctest.Wait()
		assert.Len(t, *kept, 1, "a dry run has no side effects")
	})
}

func TestAFloodOfDenialsIsToldInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, kept := collect()
		go func() { _ = e.Start(t.Context()) }()
		req, before := request(t, nil), testutil.ToFloat64(droppedEvents)
		deny := func(n int) {
			for range n {
				e.denied(&req, &corev1.Pod{}, noPolicy())
				synctest.Wait()
			}
		}
		deny(500)
		assert.Len(t, *kept, eventBurst)
		assert.InDelta(t, before+450, testutil.ToFloat64(droppedEvents), 0)
		pass(time.Second)
		deny(500)
		assert.Len(t, *kept, eventBurst+eventRate)
	})
}

func TestDenialsDoNotWaitForASlowAPIServerAndTheLastOnesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvents(func(ctx context.Context, _ *corev1.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Start(ctx) }()
		req, started, before := request(t, nil), time.Now(), testutil.ToFloat64(droppedEvents)
		for range eventBurst {
			e.denied(&req, &corev1.Pod{}, noPolicy())
		}
		assert.Zero(t, time.Since(started))
		cancel()
		require.NoError(t, <-ended)
		e.drain(t.Context())
		assert.LessOrEqual(t, time.Since(started), sendTimeout+drainTimeout)
		assert.InDelta(t, before+eventBurst, testutil.ToFloat64(droppedEvents), 0, "what could not be written is counted")
	})
}

func TestWhatIsQueuedIsWrittenBeforeTheReplicaEnds(t *testing.T) {
	e, kept := collect()
	req, queued, written := request(t, nil), testutil.ToFloat64(queuedEvents), testutil.ToFloat64(writtenEvents)
	for range 3 {
		e.denied(&req, &corev1.Pod{}, noPolicy())
	}
	assert.InDelta(t, queued+3, testutil.ToFloat64(queuedEvents), 0)
	(&replica{events: e, reports: &reports{leases: &keptLeases{}}}).end(t.Context())
	assert.Len(t, *kept, 3)
	assert.InDelta(t, queued, testutil.ToFloat64(queuedEvents), 0)
	assert.InDelta(t, written+3, testutil.ToFloat64(writtenEvents), 0)
}

func TestAnEventThatIsRefusedIsCounted(t *testing.T) {
	e := newEvents(func(context.Context, *corev1.Event) error { return errors.New("forbidden") }, logr.Discard())
	before := testutil.ToFloat64(droppedEvents)
	req := request(t, nil)
	e.denied(&req, &corev1.Pod{}, noPolicy())
	e.drain(t.Context())
	assert.InDelta(t, before+1, testutil.ToFloat64(droppedEvents), 0)
}

func TestNoEventsAreNoTrouble(t *testing.T) {
	req := request(t, nil)
	(*events)(nil).denied(&req, &corev1.Pod{}, noPolicy())
	assert.Nil(t, (*replica)(nil).tellsOf())
	(*replica)(nil).end(t.Context())
}

func TestAnEventIsForAPodWithoutANameToo(t *testing.T) {
	event := denialEvent("a", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "jupyter-"}}, noPolicy())
	assert.Equal(t, "jupyter-", event.InvolvedObject.Name)
}

// Everybody who may read a namespace's Events reads them; its policies are for fewer.
func TestAnEventNeverQuotesAValueOfTheEnvironment(t *testing.T) {
	const secret = "hunter2"
	for name, spec := range map[string]string{
		"a template":           `{environment: {PASSWORD: "` + secret + `{"}}`,
		"a number":             `{environment: {PASSWORD: {value: {a: ` + secret + `}}}}`,
		"extraContainerConfig": `{extraContainerConfig: {env: [{name: PASSWORD, value: [` + secret + `]}]}}`,
		"a container's":        `{extraContainers: [{name: side, env: [{name: PASSWORD, value: {a: ` + secret + `}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			cache := &stored{}
			cache.put(t, everybody, "kind: SpawnPolicy\nmetadata: {name: course, namespace: a}\nspec: {defaults: "+spec+"}")
			p := &policies{reader: cache, now: time.Now}
			require.NoError(t, p.refresh(t.Context()))
			denials := apply(t, p, "a").Denials
			require.NotEmpty(t, denials)
			assert.Equal(t, policy.PolicyInvalid, denials[0].Code)
			message := denialEvent("a", &corev1.Pod{}, denials).Message
			assert.NotContains(t, message, secret)
			assert.Contains(t, message, "SpawnPolicy a/course: spec")
			assert.Contains(t, message, "PolicyInvalid (the answer to the request says why)")
		})
	}
}

func TestAnEventsMessageFitsAndEndsInAWholeCharacter(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("a", maxEventMessage), strings.Repeat("a", maxEventMessage+1),
		strings.Repeat("ä", maxEventMessage), "a" + strings.Repeat("€", maxEventMessage),
	} {
		got := cut(text, maxEventMessage)
		assert.LessOrEqual(t, len(got), maxEventMessage)
		assert.Greater(t, len(got), maxEventMessage-8)
		assert.True(t, utf8.ValidString(got))
		assert.Equal(t, len(text) > maxEventMessage, strings.HasSuffix(got, "…"))
	}
}
