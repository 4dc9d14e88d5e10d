package launcher

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/policy"
)

// alices is what policy says of a namespace of alice's own.
var alices = policy.UserNamespace{
	Name: "jupyter-alice", Labels: map[string]string{policy.LabelHub: "main", "tier": "research"}, Annotations: map[string]string{"who": "alice"}, Create: true,
}

func TestAUsersNamespaceIsMadeAsPolicySays(t *testing.T) {
	client := fake.NewClientset()
	l := &Launcher{client: client, config: Config{UserNamespaces: true}}
	labels, err := l.ensureNamespace(t.Context(), alices)
	require.NoError(t, err)
	assert.Equal(t, alices.Labels, labels)
	made, err := client.CoreV1().Namespaces().Get(t.Context(), "jupyter-alice", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, alices.Labels, made.Labels)
	assert.Equal(t, alices.Annotations, made.Annotations)

	_, err = l.ensureNamespace(t.Context(), alices)
	require.NoError(t, err, "and it is good the next time")
}

func TestANamespaceThatIsThereHasToBeTheUsers(t *testing.T) {
	team := policy.UserNamespace{Name: "jupyter-alice"}
	for name, c := range map[string]struct {
		want   policy.UserNamespace
		labels map[string]string
		says   string // empty: it is
	}{
		"more labels":    {alices, map[string]string{policy.LabelHub: "main", "tier": "research", "injection": "on"}, ""},
		"of KubeSpawner": {alices, map[string]string{"tier": "research"}, ""},
		"another hub's":  {alices, map[string]string{policy.LabelHub: "other", "tier": "research"}, `has label slipway.dev/hub="other", where policy says "main"`},
		"a label less":   {alices, map[string]string{policy.LabelHub: "main"}, `has no label tier, where policy says "research"`},
		"another label":  {alices, map[string]string{policy.LabelHub: "main", "tier": "admin"}, `has label tier="admin", where policy says "research"`},
		"a team's":       {team, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Launcher{client: fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice", Labels: c.labels}})}
			labels, err := l.ensureNamespace(t.Context(), c.want)
			assert.Equal(t, c.labels, labels)
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			failure, ok := errors.AsType[*Failure](err)
			require.True(t, ok)
			assert.True(t, failure.Hopeless)
			assert.Contains(t, failure.Message, c.says)
		})
	}
}

func TestANamespaceThatIsntThereIsToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		want  policy.UserNamespace
		makes bool
		says  string
	}{
		"a team's":                   {policy.UserNamespace{Name: "team-a"}, true, "namespace team-a, where policy has this server, isn't there; have it made, or policy changed"},
		"a launcher that makes none": {alices, false, "isn't there, and this launcher makes none; have it made, or let the launcher do it by --user-namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			l := &Launcher{client: client, config: Config{UserNamespaces: c.makes}}
			_, err := l.ensureNamespace(t.Context(), c.want)
			failure, ok := errors.AsType[*Failure](err)
			require.True(t, ok)
			assert.True(t, failure.Hopeless)
			assert.Contains(t, failure.Message, c.says)
			for _, action := range client.Actions() {
				assert.NotEqual(t, "create", action.GetVerb())
			}
		})
	}
}

func TestANamespaceThatIsBeingDeletedMayComeBack(t *testing.T) {
	l := &Launcher{client: fake.NewClientset(&corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice", Labels: alices.Labels}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating},
	})}
	_, err := l.ensureNamespace(t.Context(), alices)
	failure, ok := errors.AsType[*Failure](err)
	require.True(t, ok)
	assert.False(t, failure.Hopeless)
}

// Two replicas that make one namespace at the same moment both have it.
func TestAnotherReplicasNamespaceIsTaken(t *testing.T) {
	client := fake.NewClientset()
	theirs := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice", Labels: alices.Labels}}
	namespaces := schema.GroupResource{Resource: "namespaces"}
	client.PrependReactor("create", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.Join(client.Tracker().Add(theirs), apierrors.NewAlreadyExists(namespaces, theirs.Name))
	})
	l := &Launcher{client: client, config: Config{UserNamespaces: true}}
	labels, err := l.ensureNamespace(t.Context(), alices)
	require.NoError(t, err)
	assert.Equal(t, alices.Labels, labels)
}
