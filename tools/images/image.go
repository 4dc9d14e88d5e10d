package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// spec is what an image is made from.
type spec struct {
	ref        name.Tag
	binary     string
	entrypoint string
	user       int
	labels     map[string]string
	// created is in the image's configuration and on every file; zero leaves it out.
	created time.Time
}

// parseRef demands the registry and the tag: docker.io/library and latest would be guesses, and a kubelet that guesses
// differently doesn't find the image.
func parseRef(ref string) (name.Tag, error) {
	tag, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("--ref %q must be registry/name:tag: %w", ref, err)
	}
	return tag, nil
}

// build makes the image: one layer, and a configuration that runs the program as a user without rights.
func build(s spec) (v1.Image, error) {
	if !path.IsAbs(s.entrypoint) || path.Clean(s.entrypoint) != s.entrypoint || s.entrypoint == "/" {
		return nil, fmt.Errorf("--entrypoint %q must be the absolute path of a file, such as /slipway-webhook", s.entrypoint)
	}
	architecture, err := architectureOf(s.binary)
	if err != nil {
		return nil, err
	}
	files, err := s.layer()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	image, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the empty image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: s.created}
	config.History = []v1.History{{CreatedBy: "tools/images", Created: config.Created}}
	config.Config = v1.Config{
		Entrypoint: []string{s.entrypoint},
		// Numbers: with a name the kubelet can't tell that runAsNonRoot holds.
		User:       fmt.Sprintf("%d:%d", s.user, s.user),
		WorkingDir: "/",
		Env:        []string{"PATH=/"},
		Labels:     s.allLabels(),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("set the configuration: %w", err)
	}
	return image, nil
}

// allLabels adds to the given labels those that the image's name and time imply.
func (s spec) allLabels() map[string]string {
	const key = "org.opencontainers.image."
	all := map[string]string{
		key + "title":   path.Base(s.ref.RepositoryStr()),
		key + "version": s.ref.TagStr(),
	}
	if !s.created.IsZero() {
		all[key+"created"] = s.created.Format(time.RFC3339)
	}
	maps.Copy(all, s.labels)
	return all
}

// architectureOf reads from the program itself what it runs on, so that image and program can't disagree. A program that
// needs a loader is refused, since the image has none, and "no such file" would be all that says so.
func architectureOf(binary string) (string, error) {
	file, err := elf.Open(binary)
	if _, ok := errors.AsType[*elf.FormatError](err); ok {
		return "", fmt.Errorf("--binary %s isn't a program for Linux; build it with GOOS=linux", binary)
	} else if err != nil {
		return "", fmt.Errorf("--binary: %w", err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("--binary %s isn't static; build it with CGO_ENABLED=0", binary)
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("--binary %s is for %s; build it with GOARCH=amd64 or arm64", binary, file.Machine)
}
