package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeArchive writes an OCI image layout as a tar, with the manifest.json of docker save beside its index: containerd
// and skopeo read the one, and docker before 25 the other. Neither is a copy, both name the same blobs.
func writeArchive(out string, ref name.Tag, image v1.Image) error {
	members, err := archive(ref, image)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if err := writeTar(f, members); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", out, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	return nil
}

// member is a file of the archive.
type member struct {
	name string
	data []byte
}

func archive(ref name.Tag, image v1.Image) ([]member, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("read the digest: %w", err)
	}
	rawManifest, err := image.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	rawConfig, err := image.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	index, err := rawIndex(ref, image)
	if err != nil {
		return nil, err
	}
	layers, names, err := blobs(image)
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal(tarball.Manifest{{
		Config: blob(manifest.Config.Digest), RepoTags: []string{ref.String()}, Layers: names,
	}})
	if err != nil {
		return nil, fmt.Errorf("write manifest.json: %w", err)
	}
	return append([]member{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index},
		{"manifest.json", docker},
		{blob(digest), rawManifest},
		{blob(manifest.Config.Digest), rawConfig},
	}, layers...), nil
}

// rawIndex names the image for containerd, which takes the whole name from an annotation of its own, and for skopeo, to
// which the tag is the name.
func rawIndex(ref name.Tag, image v1.Image) ([]byte, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image,
		Descriptor: v1.Descriptor{
			Annotations: map[string]string{
				"io.containerd.image.name":          ref.String(),
				"org.opencontainers.image.ref.name": ref.TagStr(),
			},
			Platform: config.Platform(),
		},
	})
	raw, err := index.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("write the index: %w", err)
	}
	return raw, nil
}

// blobs are the image's layers, compressed, and their names.
func blobs(image v1.Image) ([]member, []string, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, nil, fmt.Errorf("list the layers: %w", err)
	}
	var members []member
	var names []string
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, nil, fmt.Errorf("read the layer's digest: %w", err)
		}
		r, err := layer.Compressed()
		if err != nil {
			return nil, nil, fmt.Errorf("compress the layer: %w", err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, fmt.Errorf("compress the layer: %w", err)
		}
		members = append(members, member{blob(digest), data})
		names = append(names, blob(digest))
	}
	return members, names, nil
}

func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

func writeTar(to io.Writer, members []member) error {
	w := tar.NewWriter(to)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := w.Write(m.data); err != nil {
			return err
		}
	}
	return w.Close()
}
