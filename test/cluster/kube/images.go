package kube

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// LoadImage gives the node the images of a tar, an OCI layout or one of docker
// save, under all the names that it has there. A pod that names one of them
// must not have the imagePullPolicy Always; there is no registry.
func (c *Cluster) LoadImage(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("load an image: %w", err)
	}
	if _, err := c.ctr(ctx, "images", "import", path); err != nil {
		return fmt.Errorf("load the image %s: %w", path, err)
	}
	// The part of containerd that the kubelet asks hears of images by events. A
	// pod that came first would look for a registry, and then wait.
	i := slices.IndexFunc(c.children, func(p *child) bool { return p.name == "containerd" })
	return c.children[i].await(ctx, c.imagesTaken)
}

// imagesTaken checks that the kubelet can use all images.
func (c *Cluster) imagesTaken(ctx context.Context) error {
	table, err := c.ctr(ctx, "images", "list")
	if err != nil {
		return err
	}
	for _, row := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		if !strings.Contains(row, "io.cri-containerd.image=managed") {
			return fmt.Errorf("the kubelet can't use %s yet", strings.Fields(row)[0])
		}
	}
	return nil
}

// loadPause packs the pause program into the image that every pod needs.
func (c *Cluster) loadPause(ctx context.Context) error {
	tar := c.machineDir("pause.tar")
	err := PackImage(ctx, c.options.Progress, "--ref", pauseImage, "--binary", filepath.Join(c.containerd, "pause"),
		"--entrypoint", "/pause", "--user", "65535", "--out", tar)
	if err != nil {
		return err
	}
	return c.LoadImage(ctx, tar)
}

// PackImage makes the tar of an image from a static program: the arguments are
// those of tools/images.
func PackImage(ctx context.Context, progress io.Writer, args ...string) error {
	dir, err := Images.Build(ctx, progress)
	if err != nil {
		return err
	}
	cmd := command(filepath.Join(dir, Images.programs[0]), args...)
	if _, err := runToEnd(ctx, cmd, nil); err != nil {
		return fmt.Errorf("pack an image: %w", err)
	}
	return nil
}

// ctr runs containerd's client on the node and returns what it printed.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	cmd := c.nodeCommand("ctr", append([]string{"--namespace", "k8s.io"}, args...)...)
	return runToEnd(ctx, cmd, c.machine)
}
