package main

import "fmt"

// suitesOf are the suites of a make target, in the order in which they run.
func suitesOf(target string) ([]suite, error) {
	switch target {
	case "test":
		return testSuites(), nil
	case "e2e":
		return e2eSuites(), nil
	case "e2e-full":
		return e2eFullSuites(), nil
	}
	return nil, fmt.Errorf("there are no suites for %q; say test, e2e or e2e-full", target)
}

// testSuites need no node.
func testSuites() []suite {
	return []suite{
		{
			// Compiling Kubernetes takes minutes the first time. Done by a test, it would exceed the test's time and
			// show no progress.
			name:   "Kubernetes, for the tests against a real API server",
			needed: true,
			command: func(string) []string {
				return []string{"go", "run", "./test/cluster", "build"}
			},
		},
		{
			name:   "helm, for the tests that install the chart",
			needed: true,
			command: func(string) []string {
				return []string{"go", "tool", "-modfile=tools/helm/go.mod", "helm", "version"}
			},
		},
		{
			name:   "kubeconform and foreign CRDs, for the tests of the chart",
			needed: true,
			command: func(string) []string {
				const fetch = `go tool -modfile=tools/chart/go.mod kubeconform -v
go -C tools/chart mod download github.com/cert-manager/cert-manager github.com/prometheus-operator/prometheus-operator`
				return []string{"sh", "-ec", fetch}
			},
		},
		{
			name:   "Go",
			report: "go.xml",
			command: func(report string) []string {
				return []string{
					"go", "tool", "-modfile=tools/go.mod", "gotestsum", "--format", "pkgname", "--junitfile", report, "--",
					// A cached result would say nothing of the real API server.
					"-count=1", "-shuffle=on", "-timeout=15m", "./...",
				}
			},
		},
		{
			name:   "Go: images",
			report: "images.xml",
			command: func(report string) []string {
				return []string{
					// A module of its own, which the ./... of the suite before doesn't reach.
					"go", "-C", "tools/images", "tool", "-modfile=../go.mod", "gotestsum", "--format", "pkgname", "--junitfile", report, "--",
					"-count=1", "-shuffle=on", "./...",
				}
			},
		},
		{
			name:   "Python: JupyterHub's side",
			report: "python.xml",
			command: func(report string) []string {
				const tests = `bin=$(python3 tools/pyenv.py launcher/jupyterhub/requirements.txt)
cd launcher/jupyterhub
exec "$bin/python" -m pytest --quiet --junitxml "$1"`
				return []string{"sh", "-ec", tests, "sh", report}
			},
		},
	}
}
