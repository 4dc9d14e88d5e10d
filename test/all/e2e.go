package main

// e2eSuites need root, since they run a node.
func e2eSuites() []suite {
	return append(nodePreparations(), withTags("The whole product on a real node", "e2e.xml", "e2e", "./test/e2e"))
}

// e2eFullSuites have cert-manager and Prometheus too.
func e2eFullSuites() []suite {
	return append(nodePreparations(),
		suite{
			name:   "cert-manager and Prometheus, from source",
			needed: true,
			command: func(string) []string {
				return []string{"go", "run", "./test/cluster", "build", "--node", "--full"}
			},
		},
		suite{
			name:   "the chart's alerts, by promtool",
			needed: true,
			command: func(string) []string {
				return []string{"make", "--no-print-directory", "promtool"}
			},
		},
		withTags("Certificates by cert-manager, on an API server", "certificates.xml", "full", "./test/certificates"),
		withTags("Metrics by Prometheus, on an API server", "observability.xml", "full", "./test/observability"),
		withTags("The launcher's API, by schemathesis", "schemathesis.xml", "full", "./test/schemathesis"),
		withTags("The node itself", "node.xml", "e2e", "./test/cluster/kube"),
		withTags("The whole product on a real node, with cert-manager and Prometheus", "e2e.xml", "e2e,full", "./test/e2e"),
	)
}

// nodePreparations compile what runs there.
func nodePreparations() []suite {
	return []suite{
		{
			name:   "Debian's packages for a node",
			needed: true,
			command: func(string) []string {
				return []string{"test/cluster/packages.sh"}
			},
		},
		{
			name:   "Kubernetes, containerd and what else a node needs",
			needed: true,
			command: func(string) []string {
				return []string{"go", "run", "./test/cluster", "build", "--node"}
			},
		},
		{
			name:   "helm",
			needed: true,
			command: func(string) []string {
				return []string{"go", "tool", "-modfile=tools/helm/go.mod", "helm", "version"}
			},
		},
		{
			name:   "images of JupyterHub and of a notebook server: minutes the first time",
			needed: true,
			command: func(string) []string {
				return []string{"python3", "test/images/build.py", "dist/jupyter.tar"}
			},
		},
		{
			name:   "what drives a browser",
			needed: true,
			command: func(string) []string {
				return []string{"python3", "tools/pyenv.py", "test/e2e/browser/requirements.txt"}
			},
		},
		{
			name:   "the images, and the command line",
			needed: true,
			command: func(string) []string {
				return []string{"make", "--no-print-directory", "build", "images", "VERSION=0.0.0-e2e"}
			},
		},
	}
}

// withTags runs the tests of a package that have the tags, and shows what they log while they run.
func withTags(name, report, tags, pkg string) suite {
	return suite{
		name:   name,
		report: report,
		command: func(report string) []string {
			return []string{
				"go", "tool", "-modfile=tools/go.mod", "gotestsum", "--format", "standard-verbose", "--junitfile", report, "--",
				"-count=1", "-timeout=40m", "-tags=" + tags, pkg,
			}
		},
	}
}
