package kube

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// ProgramSet is a Go module of this repository that is compiled into programs
// for tests. One more is a folder with a go.mod and a variable here.
type ProgramSet struct {
	name     string   // of the set's lock, and in what is shown
	folder   string   // of the module, in this repository
	upstream string   // the module whose version the programs have
	packages []string // what is compiled; "tool" is what go.mod names as tools
	programs []string // what is there afterwards
	links    []string // programs that are further names of the first one
	stamped  []string // packages with the variables gitVersion, gitMajor and gitMinor
	tags     string   // of go build
	takes    string   // how long the first time is on two cores
}

// Kubernetes is one binary that is every program of Kubernetes.
var Kubernetes = ProgramSet{
	name:     "Kubernetes",
	folder:   "test/cluster/programs/kubernetes",
	upstream: "k8s.io/kubernetes",
	packages: []string{"."},
	programs: []string{"kubernetes"},
	links: []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
	},
	// Clients look at the version, and kubectl warns where it differs from the
	// server's.
	stamped: []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"},
	takes:   "5 to 10 minutes",
}

// Containerd is what runs containers on a node, except runc.
var Containerd = ProgramSet{
	name:     "containerd",
	folder:   "test/cluster/programs/containerd",
	upstream: "github.com/containerd/containerd/v2",
	packages: []string{"tool", "./pause"},
	programs: []string{"containerd", "containerd-shim-runc-v2", "ctr", "bridge", "host-local", "loopback", "pause"},
	takes:    "1 to 3 minutes",
}

// Images packs a program into the tar of an image.
var Images = ProgramSet{
	name:     "images",
	folder:   "tools/images",
	upstream: "github.com/google/go-containerregistry",
	packages: []string{"."},
	programs: []string{"images"},
	takes:    "half a minute",
}

// CertManager is one program with the controllers of cert-manager that make
// certificates, and its CA injector.
var CertManager = ProgramSet{
	name:     "cert-manager",
	folder:   "test/cluster/programs/cert-manager",
	upstream: "github.com/cert-manager/cert-manager",
	packages: []string{"."},
	programs: []string{"cert-manager"},
	takes:    "3 to 5 minutes",
}

// Prometheus is that without its user interface.
var Prometheus = ProgramSet{
	name:     "Prometheus",
	folder:   "test/cluster/programs/prometheus",
	upstream: "github.com/prometheus/prometheus",
	packages: []string{"github.com/prometheus/prometheus/cmd/prometheus"},
	programs: []string{"prometheus"},
	tags:     "remove_all_sd", // without the clouds' service discoveries
	takes:    "3 to 5 minutes",
}

// Kwok makes nodes on which pods only say that they run.
var Kwok = ProgramSet{
	name:     "kwok",
	folder:   "test/cluster/programs/kwok",
	upstream: "sigs.k8s.io/kwok",
	packages: []string{"sigs.k8s.io/kwok/cmd/kwok"},
	programs: []string{"kwok"},
	takes:    "2 to 4 minutes",
}

// Build compiles the set, once for each version of it and of Go, and returns
// the folder of its programs in the cache: ${XDG_CACHE_HOME:-~/.cache}/slipway/<key>.
//
// The first time takes minutes; progress gets what goes on (nil: nothing is
// shown). Where another process builds the set, Build waits for it and takes
// its result. When ctx ends it leaves neither processes nor half-made files.
func (s ProgramSet) Build(ctx context.Context, progress io.Writer) (dir string, err error) {
	if progress == nil {
		progress = io.Discard
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := repositoryDir()
	if err != nil {
		return "", err
	}
	b := &builder{ProgramSet: s, source: filepath.Join(root, s.folder), cache: cache, goCommand: "go", out: progress}
	if dir, err = b.build(ctx); err != nil {
		return "", fmt.Errorf("build %s from %s: %w", s.name, b.source, err)
	}
	return dir, nil
}

// names are all the programs of the set.
func (s ProgramSet) names() []string {
	return append(append([]string(nil), s.programs...), s.links...)
}
