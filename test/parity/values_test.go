package parity

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/policy/z2jh"
)

// The main road: somebody's values file, imported as it is, gives the pods that their hub makes.
func TestRealHubsFromTheirValues(t *testing.T) {
	oracle := ForTest(t)
	var hubs, servers tally
	for _, h := range realHubs(t) {
		hubs.count(t.Run(h.name, func(t *testing.T) {
			imported, err := h.imported()
			for _, s := range h.servers {
				c := h.server(t, s)
				answer, askErr := oracle.Ask(c)
				require.NoError(t, askErr)
				want := s.recorded(t, answer)
				var got Fitted
				if err != nil {
					got = refusedByImport(err)
				} else {
					c.HubNamespace = imported.Namespace
					got, err = FitPolicy(c, want, imported)
					require.NoError(t, err)
				}
				lines, judgeErr := Judge(want, got)
				require.NoError(t, judgeErr)
				servers.count(reportServer(t, s, withoutItsPython(h.name, afterConcerns(c, lines))))
			}
		}))
	}
	hubs.print(t, "configs, from values")
	servers.print(t, "configs' users, from values")
}

// withoutItsPython takes away what a hub's own Python, or the way of recording, explains.
func withoutItsPython(name string, lines []string) []string {
	for _, e := range HubExemptions() {
		if e.Hub == "" || e.Hub == name {
			lines = slices.DeleteFunc(lines, func(line string) bool { return beginsWithAny(line, e.Fields) })
		}
	}
	return lines
}

func (h *realHub) imported() (*v1alpha1.SpawnPolicy, error) {
	values, err := os.ReadFile(h.values)
	if err != nil {
		return nil, err
	}
	imported, _, err := z2jh.Import([][]byte{values}, []string{filepath.Base(h.values)}, z2jh.Options{Namespace: "jhub", Hub: hub})
	return imported, err
}
