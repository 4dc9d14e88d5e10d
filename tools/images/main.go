// Command images packs a static program into an image and writes that as a tar, which ctr, docker, podman and skopeo
// load without a registry:
//
//	go -C tools/images run . --ref ghcr.io/slipway-hub/slipway-webhook:0.1.0 --binary /abs/slipway-webhook \
//		--entrypoint /slipway-webhook --out /abs/slipway-webhook.tar
//
// With --push it goes to a registry instead, and --binary may be repeated for more architectures; the name with the digest
// is then printed, for signing. The credentials are those of docker login.
//
// What goes in alone decides the bytes that come out. The time in the image is SOURCE_DATE_EPOCH, in seconds since
// 1970; without it there is none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, epoch string, stdout io.Writer) error {
	spec := spec{labels: map[string]string{}}
	var binaries []string
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	ref := flags.String("ref", "", "`name:tag` of the image, registry included")
	flags.Func("binary", "`file` with the program, a static one for Linux; its own header says for which architecture", func(path string) error {
		binaries = append(binaries, path)
		return nil
	})
	flags.StringVar(&spec.entrypoint, "entrypoint", "", "absolute `path` of the program in the image")
	flags.IntVar(&spec.user, "user", 65532, "`uid` and gid that the program runs as")
	flags.Func("label", "`key=value` to set on the image; repeatable", spec.addLabel)
	out := flags.String("out", "", "`file` to write")
	toRegistry := flags.Bool("push", false, "push the image instead of writing a file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("there are no arguments, only flags; got %q", flags.Args())
	case (*out == "") != *toRegistry:
		return errors.New("either --out or --push must be there")
	case len(binaries) == 0, len(binaries) > 1 && !*toRegistry:
		return errors.New("--binary must be there, and with --out only once: a file has one image")
	}
	var err error
	if spec.ref, err = parseRef(*ref); err != nil {
		return err
	}
	if spec.created, err = parseEpoch(epoch); err != nil {
		return err
	}
	images := make([]v1.Image, len(binaries))
	for i, binary := range binaries {
		spec.binary = binary
		if images[i], err = build(spec); err != nil {
			return err
		}
	}
	if *toRegistry {
		return push(ctx, spec.ref, images, stdout)
	}
	return writeArchive(*out, spec.ref, images[0])
}

func (s *spec) addLabel(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok || key == "" {
		return errors.New("must be key=value")
	}
	s.labels[key] = value
	return nil
}

// parseEpoch reads SOURCE_DATE_EPOCH; see https://reproducible-builds.org/specs/source-date-epoch/.
func parseEpoch(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q must be a whole number of seconds since 1970", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
