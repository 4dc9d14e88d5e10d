package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTallyReadsAsOneLine(t *testing.T) {
	assert.Equal(t, "12 passed, 0 failed, 3 skipped", tally{passed: 12, skipped: 3}.String())
}

func TestReportIsCountedCaseByCase(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report.xml")
	require.NoError(t, os.WriteFile(report, []byte(`<?xml version="1.0"?>
<testsuites tests="99">
  <testsuite name="one">
    <testcase name="a"/>
    <testcase name="b"><failure message="no"/></testcase>
  </testsuite>
  <testsuite name="two">
    <testcase name="c"><skipped message="later"/></testcase>
    <testcase name="d"><error message="crash"/></testcase>
    <testcase name="e"><system-out>text</system-out></testcase>
  </testsuite>
</testsuites>`), 0o600))

	counted, err := readReport(report)

	require.NoError(t, err)
	assert.Equal(t, tally{passed: 2, failed: 2, skipped: 1}, counted)
}

// write is a suite that writes the report and then ends as told.
func write(report, ending string) suite {
	return suite{name: "fake", report: "fake.xml", command: func(path string) []string {
		return []string{"sh", "-c", `printf %s "$1" > "$2"; ` + ending, "sh", report, path}
	}}
}

func TestSuitesThatFailAreNeverCountedAsGood(t *testing.T) {
	const (
		good = `<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>`
		bad  = `<testsuites><testsuite><testcase name="a"><failure/></testcase></testsuite></testsuites>`
	)
	preparation := func(ending string) suite {
		return suite{name: "preparation", needed: true, command: func(string) []string {
			return []string{"sh", "-c", ending}
		}}
	}
	for name, c := range map[string]struct {
		suites []suite
		want   tally
	}{
		"all good":                        {[]suite{preparation("exit 0"), write(good, "exit 0")}, tally{passed: 1}},
		"two suites add up":               {[]suite{write(good, "exit 0"), write(bad, "exit 1")}, tally{passed: 1, failed: 1}},
		"failed test":                     {[]suite{write(bad, "exit 1")}, tally{failed: 1}},
		"crash after the last test":       {[]suite{write(good, "exit 3")}, tally{passed: 1, failed: 1}},
		"no report":                       {[]suite{write(good, `rm "$2"`)}, tally{failed: 1}},
		"report cut off":                  {[]suite{write(good[:30], "exit 0")}, tally{failed: 1}},
		"no such program":                 {[]suite{{name: "none", report: "x.xml", command: func(string) []string { return []string{"/nowhere"} }}}, tally{failed: 1}},
		"nothing after a preparation":     {[]suite{preparation("exit 1"), write(good, "exit 0")}, tally{failed: 1}},
		"a failed suite stops none after": {[]suite{write(bad, "exit 1"), write(good, "exit 0")}, tally{passed: 1, failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			assert.Equal(t, c.want, runAll(t.Context(), c.suites))
		})
	}
}

func TestReportOfAnEarlierRunIsNotCounted(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll(results, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(results, "fake.xml"), []byte(`<testsuites/>`), 0o600))
	nothing := suite{name: "nothing", report: "fake.xml", command: func(string) []string { return []string{"true"} }}

	assert.Equal(t, tally{failed: 1}, runAll(t.Context(), []suite{nothing}))
}
