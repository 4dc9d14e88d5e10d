package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARegistryHasTheImageForEveryArchitectureByTheNameThatIsPrinted(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/slipway/hull"
	var printed bytes.Buffer
	require.NoError(t, run(t.Context(), []string{
		"--ref", repository + ":1.2.3", "--binary", program(t, "amd64"), "--binary", program(t, "arm64"), "--entrypoint", "/hull", "--push",
	}, "1700000000", &printed))

	signed, err := name.NewDigest(strings.TrimSpace(printed.String()))
	require.NoError(t, err)
	tagged, err := name.NewTag(repository + ":1.2.3")
	require.NoError(t, err)
	for _, ref := range []name.Reference{signed, tagged} {
		index, err := remote.Index(ref)
		require.NoError(t, err)
		require.NoError(t, validate.Index(index))
		manifest, err := index.IndexManifest()
		require.NoError(t, err)
		var platforms []string
		for _, image := range manifest.Manifests {
			platforms = append(platforms, image.Platform.String())
		}
		assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms)
	}
}
