package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// file is a file of the image; all of them are root's.
type file struct {
	path string
	mode int64
	data []byte
}

// layer is a tar with all files of the image. There is nothing to write to, and no /tmp.
func (s spec) layer() ([]byte, error) {
	program, err := os.ReadFile(s.binary)
	if err != nil {
		return nil, fmt.Errorf("--binary: %w", err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{"/": true}
	for _, f := range []file{
		{"/etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", s.user)},
		{"/etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/:/sbin/nologin\n", s.user)},
		{"/etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{s.entrypoint, 0o755, program},
	} {
		// Whoever unpacks a file without its folder chooses the folder's mode and time itself.
		for _, dir := range parents(f.path) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := s.add(w, tar.TypeDir, file{path: dir + "/", mode: 0o755}); err != nil {
				return nil, err
			}
		}
		if err := s.add(w, tar.TypeReg, f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close the layer: %w", err)
	}
	return out.Bytes(), nil
}

func (s spec) add(w *tar.Writer, kind byte, f file) error {
	header := &tar.Header{
		Typeflag: kind, Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode, Size: int64(len(f.data)), ModTime: s.created,
		Format: tar.FormatUSTAR,
	}
	if err := w.WriteHeader(header); err != nil {
		return fmt.Errorf("add %s to the layer: %w", f.path, err)
	}
	if _, err := w.Write(f.data); err != nil {
		return fmt.Errorf("add %s to the layer: %w", f.path, err)
	}
	return nil
}

// parents are the folders of a path, outermost first, without the root.
func parents(of string) []string {
	var dirs []string
	for dir := path.Dir(of); dir != "/"; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// authorities are Mozilla's certificate authorities in PEM. One that is trusted only for certificates issued before some
// day is left out: PEM can't say so.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}
