package parity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The main road: somebody's values file, imported as it is, gives the pods that their hub makes.
func TestRealHubsFromTheirValues(t *testing.T) {
	oracle := ForTest(t)
	var hubs, servers tally
	for _, h := range RealHubs(t) {
		hubs.count(t.Run(h.Name, func(t *testing.T) {
			imported, err := h.Imported()
			for _, s := range h.Servers {
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
				servers.count(reportServer(t, s, h.Unexplained(s, lines)))
			}
		}))
	}
	hubs.print(t, "configs, from values")
	servers.print(t, "configs' users, from values")
}
