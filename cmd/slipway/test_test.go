package main

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of the examples are documentation that has to stay true.
func TestTheExamplesPassTheirTests(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	got := slipway(t, "", "test", examples)
	assert.Equal(t, exitGood, got.code, got.out+got.err)
	assert.NotContains(t, got.out, "FAIL")
	assert.Empty(t, got.err)
}

// anyTime stands for the times of a report.
var anyTime = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b|0s$|time="[0-9.]+"|"seconds": [0-9.e-]+`)

func untimed(text string) string {
	return anyTime.ReplaceAllStringFunc(text, func(s string) string {
		if name, _, is := strings.Cut(s, "="); is {
			return name + `="N"`
		}
		if strings.HasPrefix(s, `"`) {
			return `"seconds": 0`
		}
		return "N"
	})
}

func TestReportsEqualTheirGoldenFiles(t *testing.T) {
	for golden, format := range map[string]string{"kinds.txt": "table", "kinds.xml": "junit", "kinds.json": "json"} {
		t.Run(format, func(t *testing.T) {
			got := slipway(t, "", "test", "testdata/tests/kinds_test.yaml", "-o", format)
			assert.Equal(t, exitDenied, got.code, got.err)
			if format == "table" {
				assert.Empty(t, got.err)
			} else {
				assert.Contains(t, got.err, "FAIL testdata/tests/kinds_test.yaml: a whole pod\n    metadata.annotations[hub.jupyter.org/username]\n      want  alice\n      got   bob\n")
				assert.Contains(t, got.err, "1 passed, 9 failed in ")
			}
			assertGolden(t, filepath.Join("tests", golden), untimed(got.out))
		})
	}
}

func TestMachinesCanReadTheReports(t *testing.T) {
	folder := testFolder(t, `- {name: "<&> \u0007 über", identity: {user: alice}, namespace: {name: home}, expect: {noClaim: true}}
- {name: b, identity: {user: alice}, namespace: {name: home}, expect: {claim: {}}}
- {name: c, identity: {user: alice}, namespace: {name: home}, expect: {pod: {metadata: {labels: {a: "]]> \u0007"}}}}}`)

	got := slipway(t, "", "test", "-o", "junit", folder)
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Tests int     `xml:"tests,attr"`
			Time  float64 `xml:"time,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(got.out), &suites), got.out)
	assert.Equal(t, []int{3, 2, 1, 3}, []int{suites.Tests, suites.Failures, len(suites.Suites), suites.Suites[0].Tests})
	assert.Equal(t, "<&> \ufffd über", suites.Suites[0].Cases[0].Name, "XML has no such character")
	assert.Contains(t, suites.Suites[0].Cases[0].Failure.Message, "claim: want nothing, got {")
	assert.Nil(t, suites.Suites[0].Cases[1].Failure)
	assert.Contains(t, suites.Suites[0].Cases[2].Failure.Text, "want  ]]> \ufffd\n")

	got = slipway(t, "", "test", "-o", "json", folder)
	require.True(t, json.Valid([]byte(got.out)), got.out)
}

// testFolder has a policy and a file with these tests.
func testFolder(t *testing.T, tests string) string {
	t.Helper()
	folder := t.TempDir()
	policy, err := os.ReadFile("testdata/home.yaml")
	require.NoError(t, err)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("home.yaml", string(policy))
	if tests != "" {
		write("home_test.yaml", "policies: [.]\ntests:\n"+tests+"\n")
	}
	return folder
}

func TestTestFilesThatCannotBeUsed(t *testing.T) {
	test := func(more string) string { return "- {name: a, identity: {user: alice}, " + more + "}" }
	expect := func(more string) string { return test("expect: {" + more + "}") }
	for name, c := range map[string]struct {
		tests string
		err   []string
	}{
		"unknown field":       {test("expcet: {}"), []string{`home_test.yaml: tests[0].expcet: `, "unknown field; did you mean expect?"}},
		"wrong type":          {test("claims: a"), []string{`tests[0].claims: Invalid value: "a": must be a list`}},
		"nothing expected":    {expect(""), []string{"tests[0].expect: expects nothing"}},
		"null claim":          {expect("claim: null"), []string{"tests[0].expect.claim: ", "noClaim: true"}},
		"null in a pod":       {expect("pod: {spec: {hostNetwork: null}}"), []string{"tests[0].expect.pod.spec.hostNetwork: ", "belongs in absent"}},
		"null elsewhere":      {test("launcher: null, expect: {noClaim: true}"), []string{"tests[0].launcher: Invalid value: null: null is no value here: leave the field out\n"}},
		"misspelt in pod":     {expect("pod: {spec: {nodeSelectr: {a: b}}}"), []string{"tests[0].expect.pod.spec.nodeSelectr: ", "did you mean nodeSelector?"}},
		"misspelt in claim":   {expect("claim: {spec: {resorces: {}}}"), []string{"tests[0].expect.claim.spec.resorces: ", "did you mean resources?"}},
		"item without a name": {expect("pod: {spec: {containers: [{image: a}]}}"), []string{"tests[0].expect.pod.spec.containers[0].name: is missing"}},
		"no such path":        {expect("absent: [spec.hostNetwrk]"), []string{"tests[0].expect.absent[0]: there is no such path in a pod: spec.hostNetwrk: ", "did you mean hostNetwork?"}},
		"no path at all":      {expect(`absent: ["spec.containers[notebook"]`), []string{"tests[0].expect.absent[0]: must be a path like "}},
		"denied and a pod":    {expect("denied: [{code: NoPolicy}], pod: {}"), []string{"tests[0].expect.denied: a server that is denied has no pod"}},
		"denial without code": {expect("denied: [{message: a}]"), []string{"tests[0].expect.denied[0].code: is needed"}},
		"no such denial":      {expect("denied: [{code: NoPolicy}, {code: ConstraintViolatd}]"), []string{`tests[0].expect.denied[1].code: "ConstraintViolatd" is no reason code; did you mean ConstraintViolated?`}},
		"claim and none":      {expect("claim: {}, noClaim: true"), []string{"tests[0].expect.noClaim: a claim is expected beside it"}},
		"one name twice":      {expect("noClaim: true") + "\n" + expect("noClaim: true"), []string{"tests[1].name: is that of tests[0] already"}},
		"no names":            {"- {expect: {noClaim: true}}", []string{"tests[0].name: is needed"}},
		"no tests":            {" []", []string{"tests: is needed"}},
		"not YAML":            {"\t- a", []string{"never with tabs"}},
		"all that they name": {
			"- {name: a, pod: p.yaml, claims: [c.yaml], launcher: hub, expect: {exactPod: e.yaml}}",
			[]string{"tests[0].pod: ", "p.yaml", "tests[0].claims: ", "c.yaml", `tests[0].launcher: "hub" must be of the form`, "tests[0].expect.exactPod: ", "e.yaml", "tests[0].identity.user: is needed"},
		},
		"a whole pod that is none": {expect("exactPod: home.yaml"), []string{"tests[0].expect.exactPod: ", "home.yaml: "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := slipway(t, "", "test", testFolder(t, c.tests))
			assert.Equal(t, exitInvalid, got.code, got.err)
			assert.Empty(t, got.out)
			for _, part := range c.err {
				assert.Contains(t, got.err, part)
			}
		})
	}
}

func TestInvalidPoliciesAreNamedOnce(t *testing.T) {
	folder := testFolder(t, `- {name: a, identity: {user: alice}, expect: {noClaim: true}}
- {name: b, identity: {user: alice}, namespace: {name: home}, expect: {noClaim: true}}`)
	broken := "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p, namespace: home}\nspec: {hubs: [home], defaults: {imgae: x}}\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "broken.yaml"), []byte(broken), 0o600))

	got := slipway(t, "", "test", folder)

	assert.Equal(t, exitInvalid, got.code)
	assert.Empty(t, got.out)
	assert.Equal(t, 1, strings.Count(got.err, "spec.defaults.imgae"), got.err)
	assert.Contains(t, got.err, "broken.yaml: ")
}

func TestWhichTestsRun(t *testing.T) {
	folder := testFolder(t, `- {name: first of all, identity: {user: alice}, namespace: {name: home}, expect: {claim: {}}}
- {name: second, identity: {user: alice}, namespace: {name: home}, expect: {noClaim: true}}`)
	file := filepath.Join(folder, "home_test.yaml")
	for _, skipped := range []string{".git", "testdata"} {
		below := filepath.Join(folder, skipped, "x")
		require.NoError(t, os.MkdirAll(below, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(below, "a_test.yaml"), []byte("nonsense"), 0o600))
	}
	for name, c := range map[string]struct {
		args []string
		code int
		part string
	}{
		"one that passes":     {[]string{folder, "--run", "^first"}, exitGood, "1 passed, 0 failed"},
		"one that fails":      {[]string{folder, "--run", "second"}, exitDenied, "0 passed, 1 failed"},
		"all, once":           {[]string{folder, file, filepath.Dir(folder)}, exitDenied, "1 passed, 1 failed"},
		"none of that name":   {[]string{folder, "--run", "third"}, exitInvalid, `--run "third" matches none`},
		"none there":          {[]string{testFolder(t, "")}, exitInvalid, "no file there ends in _test.yaml"},
		"none in one of two":  {[]string{folder, testFolder(t, "")}, exitInvalid, "no file there ends in _test.yaml"},
		"no such file":        {[]string{folder, "/nowhere_test.yaml"}, exitInvalid, "/nowhere_test.yaml"},
		"no such pattern":     {[]string{folder, "--run", "("}, exitInvalid, `--run "("`},
		"no such format":      {[]string{folder, "-o", "tap"}, exitInvalid, "table, junit and json"},
		"a policy is no test": {[]string{filepath.Join(folder, "home.yaml")}, exitInvalid, "home.yaml: apiVersion: "},
		"none of testdata":    {nil, exitInvalid, "no file there ends in _test.yaml"},
		"testdata by name":    {[]string{"testdata"}, exitDenied, "testdata/tests/kinds_test.yaml"},
		"a file in testdata":  {[]string{"testdata/tests/kinds_test.yaml"}, exitDenied, "testdata/tests/kinds_test.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got := slipway(t, "", append([]string{"test"}, c.args...)...)
			assert.Equal(t, c.code, got.code, got.out+got.err)
			assert.Contains(t, got.out+got.err, c.part)
		})
	}
}

func TestAServerIsTestedWherePolicyHasIt(t *testing.T) {
	policies, err := filepath.Abs("testdata/own.yaml")
	require.NoError(t, err)
	folder := t.TempDir()
	file := filepath.Join(folder, "own_test.yaml")
	write(t, filepath.Join(folder, "guests.yaml"), `apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: guests}
spec:
  priority: 1
  groups: [guests]
  namespaceSelector: {matchExpressions: [{key: example.org/guests, operator: Exists}]}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  defaults: {image: a, namespace: guests}
`)
	write(t, file, "policies: ["+policies+`, guests.yaml]
tests:
- {name: a namespace of the user's own, identity: {user: Alice, env: {A: b}}, expect: {pod: {metadata: {namespace: jupyter-alice---3bc51062}}, noClaim: true}}
- name: the namespace of a team, with labels that it has
  namespace: {labels: {example.org/team: a}}
  identity: {user: bob, groups: [team-a]}
  expect: {pod: {metadata: {namespace: team-a}}}
- name: the namespace that a test names
  namespace: {name: team-b, labels: {example.org/team: b}}
  identity: {user: bob, groups: [team-a]}
  expect: {denied: [{code: NameMismatch, field: metadata.namespace}]}
- name: namespaces that policies don't agree on
  identity: {hub: main, user: bob, groups: [team-a, guests]}
  expect: {denied: [{code: NameMismatch, field: metadata.namespace, message: "don't agree on the namespace"}]}
`)
	got := slipway(t, "", "test", file)
	assert.Equal(t, exitGood, got.code, got.out)
}

// A hub is limited in what it may say of a user, also where a test or command line names no account.
func TestWhoListedNoAccountMayAssertIsDenied(t *testing.T) {
	args := []string{"render", "-f", examples, "-n", "data101", "--namespace-label", "tier=teaching", "--user", "alice", "--group"}
	assert.Equal(t, exitGood, slipway(t, "", append(args, "course::a")...).code)
	got := slipway(t, "", append(args, "staff")...)
	assert.Equal(t, exitDenied, got.code)
	assert.Contains(t, got.err, `may not say that a user is in group "staff"`)
}
