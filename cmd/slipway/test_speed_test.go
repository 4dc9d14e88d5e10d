package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// thousandTests are 1,000 tests in 20 files, of 20 sets of policies: each file has the platform's policy and a course of its own.
func thousandTests(tb testing.TB) string {
	tb.Helper()
	folder := tb.TempDir()
	put := func(name, text string) {
		require.NoError(tb, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	of := func(name string) string {
		data, err := os.ReadFile(filepath.Join(examples, name))
		require.NoError(tb, err)
		return string(data)
	}
	put("platform.yaml", of("platform.yaml"))
	for i := range 20 {
		course := fmt.Sprintf("course%d", i)
		put(course+".yaml", strings.ReplaceAll(of("data101.yaml"), "data101", course))
		var tests strings.Builder
		fmt.Fprintf(&tests, "policies: [platform.yaml, %s.yaml]\ntests:\n", course)
		for j := range 50 {
			fmt.Fprintf(&tests, `- name: student %d
  namespace: {name: %s, labels: {tier: teaching}}
  identity: {user: student%d, env: {JUPYTERHUB_USER: student%d}}
  expect:
    pod: {spec: {nodeSelector: {pool: users}, volumes: [{name: mongodb, persistentVolumeClaim: {claimName: mongo-student%d}}]}}
    absent: [spec.hostNetwork]
`, j, course, j, j, j)
		}
		put(course+"_test.yaml", tests.String())
	}
	return folder
}

// A person waits for the tests after each change of a policy.
func TestAThousandTestsTakeUnderTwoSeconds(t *testing.T) {
	folder := thousandTests(t)
	// The clock on the wall counts what else the machine does; a machine of one core that does nothing else would show this.
	before := processorTime(t)
	got := slipway(t, "", "test", folder)
	took := processorTime(t) - before
	require.Equal(t, exitGood, got.code, got.err)
	assert.Contains(t, got.out, "1000 passed, 0 failed")
	assert.Less(t, took, 2*time.Second)
	t.Logf("1,000 tests in 20 files, of 20 sets of policies: %s", took.Round(time.Millisecond))
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkAThousandTests(b *testing.B) {
	folder := thousandTests(b)
	for b.Loop() {
		if got := slipway(b, "", "test", folder); got.code != exitGood {
			b.Fatal(got.err)
		}
	}
}
