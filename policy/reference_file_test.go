package policy_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/parity"
)

// REFERENCE.md is written by go test ./policy -run Reference -update.
func TestReferenceIsCurrent(t *testing.T) {
	const head = "<!-- Written by go test ./policy -run Reference -update. -->\n\n"
	want := head + policy.SettingsReference(t) + traits(t) + notFollowed() + followed
	if policy.Rewrite() {
		require.NoError(t, os.WriteFile("REFERENCE.md", []byte(want), 0o600))
	}
	have, err := os.ReadFile("REFERENCE.md")
	require.NoError(t, err)
	assert.Equal(t, want, string(have), "go test ./policy -run Reference -update rewrites it")
}

// notFollowed is the table of what is wrong in KubeSpawner; the comparison with it exempts just these.
func notFollowed() string {
	var b strings.Builder
	b.WriteString("\n# Where KubeSpawner isn't followed\n\n")
	b.WriteString("The same settings and user give the pod and claim that KubeSpawner makes, except where what it makes is a defect. `test/parity`, which\ncompares the two, lets them differ in these cases, by these names, and in no other.\n\n")
	b.WriteString("| name | what is wrong | KubeSpawner | instead |\n|---|---|---|---|\n")
	for _, e := range parity.Exemptions() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.Name, e.Kind, e.Upstream, e.Instead)
	}
	return b.String()
}

// followed is what matters to security and is no defect: somebody with the right to do so has said it.
const followed = `
Followed, though it matters to security, since whoever may write the policy has said so. ` + "`slipway import`" + ` warns of all but the first:

- ` + "`extraPodConfig`" + ` sets any field of the pod: host namespaces, accounts, volumes, containers. Bound it from a cluster's policy, by ` + "`enforced`" + ` and ` + "`constraints.podSecurity`" + `.
- With a ` + "`serviceAccount`" + ` the pod gets the account's token, unless ` + "`automountServiceAccountToken`" + ` is false.
- A privileged container that may not escalate its privileges is asked for as it stands; the API server refuses it.
- The user's own init containers run before the one with which the Zero to JupyterHub chart blocks the cloud's metadata server.
- One list in ` + "`hub.config.KubeSpawner`" + ` or in a profile replaces the chart's: the metadata block, tolerations, node purpose, the home volume or the labels that NetworkPolicies select by are gone.
- Labels that open the chart's NetworkPolicies (` + "`hub.jupyter.org/network-access-*`" + `) reach the pod if they are among its extra labels.
`
