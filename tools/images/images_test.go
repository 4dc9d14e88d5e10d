package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	imports "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testRef = "registry.example/slipway/hull:1.2.3"

// program compiles a program in a folder of its own and returns its path.
func program(t *testing.T, architecture string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath", "-o", "hull", "-buildvcs=false"}, append(flags, "main.go")...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return filepath.Join(dir, "hull")
}

// packed packs a program and returns the path of the archive.
func packed(t *testing.T, binary string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "hull.tar")
	args := []string{"--ref", testRef, "--binary", binary, "--entrypoint", "/hull", "--out", out}
	require.NoError(t, run(t.Context(), append(args, flags...), "1700000000", io.Discard))
	return out
}

func TestTheSameProgramGivesTheSameBytesWhereverItIsPacked(t *testing.T) {
	var archives [][]byte
	for range 2 {
		binary := program(t, "amd64")
		t.Chdir(filepath.Dir(binary))
		data, err := os.ReadFile(packed(t, "hull", "--label", "a=1", "--label", "b=2"))
		require.NoError(t, err)
		archives = append(archives, data)
	}
	assert.Equal(t, archives[0], archives[1])
}

// imported is the image as containerd's own importer, which is behind ctr images import, takes it.
func imported(t *testing.T, path string) (ocispec.Descriptor, ocispec.Image) {
	t.Helper()
	store, err := local.NewStore(t.TempDir())
	require.NoError(t, err)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	root, err := imports.ImportIndex(t.Context(), store, f)
	require.NoError(t, err)
	index := blobOf[ocispec.Index](t, store, root)
	require.Len(t, index.Manifests, 1)
	config, err := images.Config(t.Context(), store, root, platforms.All)
	require.NoError(t, err)
	return index.Manifests[0], blobOf[ocispec.Image](t, store, config)
}

func blobOf[T any](t *testing.T, store content.Provider, at ocispec.Descriptor) T {
	t.Helper()
	var value T
	data, err := content.ReadBlob(context.WithoutCancel(t.Context()), store, at)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &value))
	return value
}

func TestContainerdImportsTheImageByItsName(t *testing.T) {
	for _, architecture := range []string{"amd64", "arm64"} {
		t.Run(architecture, func(t *testing.T) {
			manifest, image := imported(t, packed(t, program(t, architecture), "--label", "org.opencontainers.image.licenses=Apache-2.0"))
			assert.Equal(t, testRef, manifest.Annotations[images.AnnotationImageName])
			assert.Equal(t, "1.2.3", manifest.Annotations[ocispec.AnnotationRefName])
			for _, platform := range []ocispec.Platform{*manifest.Platform, image.Platform} {
				assert.Equal(t, "linux/"+architecture, platforms.Format(platform))
			}
			assert.Equal(t, ocispec.ImageConfig{
				User:       "65532:65532",
				WorkingDir: "/",
				Entrypoint: []string{"/hull"},
				Env:        []string{"PATH=/"},
				Labels: map[string]string{
					ocispec.AnnotationTitle:    "hull",
					ocispec.AnnotationVersion:  "1.2.3",
					ocispec.AnnotationCreated:  "2023-11-14T22:13:20Z",
					ocispec.AnnotationLicenses: "Apache-2.0",
				},
			}, image.Config)
		})
	}
}

func TestDockerLoadsTheImageByItsName(t *testing.T) {
	tag, err := name.NewTag(testRef)
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(packed(t, program(t, "amd64")), &tag)
	require.NoError(t, err)
	assert.NoError(t, validate.Image(image))
}

func TestTheImageHoldsTheProgramItsUserAndTheAuthorities(t *testing.T) {
	binary := program(t, "amd64")
	tag, err := name.NewTag(testRef)
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(packed(t, binary, "--user", "1000"), &tag)
	require.NoError(t, err)
	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	compressed, err := layers[0].Compressed()
	require.NoError(t, err)
	unpacked, err := gzip.NewReader(compressed)
	require.NoError(t, err)
	var list []string
	files := map[string][]byte{}
	for r := tar.NewReader(unpacked); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		list = append(list, fmt.Sprintf("%s %d:%d %d %s", header.FileInfo().Mode(), header.Uid, header.Gid, header.ModTime.Unix(), header.Name))
		files[header.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{
		"drwxr-xr-x 0:0 1700000000 etc/",
		"-rw-r--r-- 0:0 1700000000 etc/group",
		"-rw-r--r-- 0:0 1700000000 etc/passwd",
		"drwxr-xr-x 0:0 1700000000 etc/ssl/",
		"drwxr-xr-x 0:0 1700000000 etc/ssl/certs/",
		"-rw-r--r-- 0:0 1700000000 etc/ssl/certs/ca-certificates.crt",
		"-rwxr-xr-x 0:0 1700000000 hull",
	}, list)
	assert.Equal(t, "root:x:0:\nnonroot:x:1000:\n", string(files["etc/group"]))
	assert.Equal(t, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:1000:1000:nonroot:/:/sbin/nologin\n", string(files["etc/passwd"]))
	want, err := os.ReadFile(binary)
	require.NoError(t, err)
	assert.Equal(t, want, files["hull"])
	// Mozilla trusts a hundred and more; every one that Go reads is one that Go trusts.
	assert.Greater(t, authoritiesIn(t, files["etc/ssl/certs/ca-certificates.crt"]), 100)
}

func authoritiesIn(t *testing.T, bundle []byte) int {
	t.Helper()
	count := 0
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.True(t, c.IsCA, "%s", c.Subject)
		count++
	}
	return count
}

func TestWhatWouldNotRunIsRefused(t *testing.T) {
	static, dir := program(t, "amd64"), t.TempDir()
	for name, c := range map[string]struct {
		args  []string
		epoch string
		says  string
	}{
		"no registry":     {args: []string{"--binary", static, "--ref", "slipway/hull:1"}, says: `--ref "slipway/hull:1" must be registry/name:tag`},
		"no tag":          {args: []string{"--binary", static, "--ref", "registry.example/hull"}, says: `--ref "registry.example/hull" must be registry/name:tag`},
		"a loader needed": {args: []string{"--binary", program(t, "amd64", "-buildmode=pie")}, says: "isn't static; build it with CGO_ENABLED=0"},
		"another machine": {args: []string{"--binary", program(t, "riscv64")}, says: "is for EM_RISCV; build it with GOARCH=amd64 or arm64"},
		"a script":        {args: []string{"--binary", "main.go"}, says: "--binary main.go isn't a program for Linux"},
		"no such file":    {args: []string{"--binary", dir + "/none"}, says: "no such file"},
		"two in a file":   {args: []string{"--binary", static, "--binary", static}, says: "with --out only once"},
		"no binary":       {says: "--binary must be there"},
		"two ways out":    {args: []string{"--binary", static, "--push"}, says: "either --out or --push"},
		"no way out":      {args: []string{"--binary", static, "--out", ""}, says: "either --out or --push"},
		"relative":        {args: []string{"--binary", static, "--entrypoint", "hull"}, says: `--entrypoint "hull" must be the absolute path of a file`},
		"no entrypoint":   {args: []string{"--binary", static, "--entrypoint", ""}, says: `--entrypoint "" must be the absolute path`},
		"label":           {args: []string{"--label", "version"}, says: "must be key=value"},
		"an argument":     {args: []string{"hull"}, says: "only flags"},
		"a date":          {args: []string{"--binary", static}, epoch: "2026-01-01", says: `SOURCE_DATE_EPOCH "2026-01-01" must be a whole number`},
		"unwritable":      {args: []string{"--binary", static, "--out", dir + "/none/hull.tar"}, says: "--out: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--ref", testRef, "--entrypoint", "/hull", "--out", filepath.Join(t.TempDir(), "x.tar")}
			assert.ErrorContains(t, run(t.Context(), append(args, c.args...), c.epoch, io.Discard), c.says)
		})
	}
}
