package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
)

// completed is what a shell is offered for the last word of a line.
func completed(t *testing.T, line string) []string {
	t.Helper()
	got := slipway(t, "", append([]string{"__complete"}, strings.Split(line, " ")...)...)
	assert.Equal(t, exitGood, got.code, got.err)
	offered := strings.Split(strings.TrimSpace(got.out), "\n")
	return offered[:len(offered)-1] // then comes the directive
}

func TestAShellOffersWhatPoliciesName(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nowhere")
	const (
		hooks = "../../policy/examples/hooks/"
		gpu   = "render -f " + hooks + "gpu-by-group.yaml "
		both  = "render -f " + examples + "/platform.yaml -f " + data101 + " "
	)
	for line, want := range map[string][]string{
		both + "--hub ":      {"campus"},
		both + "--hub o":     nil,
		both + "--launcher ": {"jupyter/hub"},
		both + "-n ":         {"data101"},
		both + "--group ":    nil, // course::* is none
		gpu + "--group ":     {"gpu-users", "workshop"},
		gpu + "--profile ":   {"cpu\tNo GPU", "gpu\tOne GPU"},
		gpu + "-n research --user bob --profile ":                                        {"cpu\tNo GPU"},
		gpu + "-n research --user bob --group gpu-users --profile ":                      {"cpu\tNo GPU", "gpu\tOne GPU"},
		gpu + "-n elsewhere --user bob --profile ":                                       nil,
		gpu + "--profile gpu --option ":                                                  {"product=\tProduct"},
		gpu + "--option ":                                                                {"product=\tProduct"},
		gpu + "--profile cpu --option ":                                                  nil,
		gpu + "--profile gpu --option product=":                                          {"product=a100\tA100", "product=t4\tTesla T4"},
		gpu + "--profile gpu --option product=t":                                         {"product=t4\tTesla T4"},
		gpu + "-n research --user bob --group gpu-users --profile gpu --option product=": {"product=t4\tTesla T4"},
		"render -f testdata/own.yaml --user bob --group team-a --profile ":               nil,
		"explain -f testdata/home.yaml -n home --user bob --why spec.volumes[":           {"spec.volumes[home].persistentVolumeClaim.claimName"},
		"explain -f testdata/home.yaml --why spec.volumes[":                              nil,
		"render -f - --hub ":                                                             nil, // nobody types policies while a shell completes
		"render -f /nowhere --hub ":                                                      nil,
		"render --hub ":                                                                  nil, // no cluster
		"explain ":                                                                       nil,
		"render -o ":                                                                     {"yaml", "json"},
		"test -o ":                                                                       {"table", "junit", "json"},
		"check -o ":                                                                      {"table", "json"},
		"test ":                                                                          filesOfPolicies, // the extensions of files to offer
		"render -f ":                                                                     filesOfPolicies,
		"import z2jh -f ":                                                                {"yaml", "yml"},
		"import kubespawner -f ":                                                         {"py"},
		"stop --grace-period ":                                                           nil,
		"rend":                                                                           {"render\tPrint the fitted pod of a server, and its claim"},
	} {
		assert.Equal(t, want, completedOrNil(t, line), line)
	}
}

func completedOrNil(t *testing.T, line string) []string {
	t.Helper()
	if offered := completed(t, line); len(offered) > 0 {
		return offered
	}
	return nil
}

// What no shell may do is to offer the files of the current folder for a name.
func TestNoFlagOffersFilesForWhatIsNoFile(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nowhere")
	eachCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		for _, flag := range flagsOf(cmd) {
			if flag.Value.Type() == "bool" {
				continue
			}
			_, has := cmd.GetFlagCompletionFunc(flag.Name)
			_, extensions := flag.Annotations[cobra.BashCompFilenameExt]
			isFile := extensions || slices.Contains([]string{"claim", "pod", "users", "python"}, flag.Name)
			assert.True(t, has || isFile, "%s --%s: register what a shell offers for it", cmd.CommandPath(), flag.Name)
		}
	})
}
