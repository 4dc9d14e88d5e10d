package parity

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/policy/z2jh"
)

// hubFolder holds real hubs: NAME.yaml, NAME.traits.json and NAME.pods.jsonl, as its README says.
func hubFolder() string {
	if folder := os.Getenv("SLIPWAY_CONFIGS"); folder != "" {
		return folder
	}
	return filepath.Join("..", "..", "..", "shared", "configs")
}

// RealHub is one of them.
type RealHub struct {
	Name string
	// Values is the path of its values file.
	Values string
	// Settings are the traits that the real chart derives from the values.
	Settings map[string]any
	Servers  []RealServer
}

// Unbuildable are the real hubs whose values, by themselves, make pods that no API server takes: what is refused, and why it is so.
var Unbuildable = map[string]map[string]string{
	// The chart's own configuration adds the volume, and is not among the recorded values.
	"2i2c-maap": {
		"spec.defaults.volumeMounts[01-shared-public-volumemount]":         `volume "home" is mounted at /home/jovyan/shared-public, and no layer defines it`,
		"spec.defaults.volumeMounts[02-shared-public-rstudio-volumemount]": `volume "home" is mounted at /home/rstudio/shared-public, and no layer defines it`,
		"spec.defaults.initContainers[0].volumeMounts[0]":                  `volume "home" is mounted at /home/jovyan, and no layer defines it`,
	},
	// One profile of six names a device among the guarantees alone.
	"data-on-eks-dummy": {
		"spec.profiles[5].settings.extraResourceGuarantees[nvidia.com/mig-1g.5gb]": "is guaranteed without a limit",
	},
	// Terraform fills in the name.
	"nebari-profiles": {
		"spec.defaults.volumes[home].persistentVolumeClaim.claimName": "name the claim",
	},
	// The chart's linter never makes a pod.
	"z2jh-ci-lint-values": {
		"spec.defaults.initContainers[0].imagePullSecret": "unknown field",
	},
}

// RealServer is what the real KubeSpawner once made for a user of that hub.
type RealServer struct {
	User    string            `json:"user"`
	Server  string            `json:"server"`
	Options map[string]string `json:"options"`
	Pod     json.RawMessage   `json:"pod"`
	Claim   json.RawMessage   `json:"claim"`
	// Error is "TYPE: MESSAGE" where there is no pod.
	Error string `json:"error"`
}

// RealHubs reads them all. Where their folder isn't there the test is skipped, and says so.
func RealHubs(tb testing.TB) []RealHub {
	tb.Helper()
	folder := hubFolder()
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("parity: NOT COMPARED WITH REAL HUBS: there is no folder %s; set SLIPWAY_CONFIGS to one that has them", folder)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.traits.json"))
	require.NoError(tb, err)
	require.NotEmpty(tb, files, "no NAME.traits.json in %s", folder)
	hubs := make([]RealHub, len(files))
	for i, file := range files {
		stem := strings.TrimSuffix(file, ".traits.json")
		hubs[i] = RealHub{Name: filepath.Base(stem), Values: stem + ".yaml", Servers: realServers(tb, stem+".pods.jsonl")}
		var content struct {
			Traits map[string]any `json:"traits"`
		}
		data, err := os.ReadFile(file)
		require.NoError(tb, err)
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		require.NoError(tb, d.Decode(&content), file)
		hubs[i].Settings = content.Traits
	}
	return hubs
}

func realServers(tb testing.TB, file string) []RealServer {
	tb.Helper()
	f, err := os.Open(file)
	require.NoError(tb, err)
	defer f.Close()
	var servers []RealServer
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s RealServer
		require.NoError(tb, json.Unmarshal(lines.Bytes(), &s), file)
		servers = append(servers, s)
	}
	require.NoError(tb, lines.Err(), file)
	return servers
}

// Imported is the policy that `slipway import z2jh` makes of the values.
func (h *RealHub) Imported() (*v1alpha1.SpawnPolicy, error) {
	values, err := os.ReadFile(h.Values)
	if err != nil {
		return nil, err
	}
	imported, _, err := z2jh.Import([][]byte{values}, []string{filepath.Base(h.Values)}, z2jh.Options{Namespace: "jhub", Hub: hub})
	return imported, err
}

// Unexplained are the differences of a server that neither an exemption nor the hub's own Python or the way of recording
// explains.
func (h *RealHub) Unexplained(s RealServer, lines []string) []string {
	for _, e := range HubExemptions() {
		if e.Hub == "" || e.Hub == h.Name {
			lines = slices.DeleteFunc(lines, func(line string) bool { return beginsWithAny(line, e.Fields) })
		}
	}
	return AfterConcerns(Case{User: s.User, Server: s.Server}, lines)
}
