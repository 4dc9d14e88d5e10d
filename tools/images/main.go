// Command images packs a static program into an image and writes that as a tar, which ctr, docker, podman and skopeo
// load without a registry:
//
//	go -C tools/images run . --ref ghcr.io/slipway-hub/slipway-webhook:0.1.0 --binary /abs/slipway-webhook \
//		--entrypoint /slipway-webhook --out /abs/slipway-webhook.tar
//
// What goes in alone decides the bytes that come out. The time in the image is SOURCE_DATE_EPOCH, in seconds since
// 1970; without it there is none.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string) error {
	spec := spec{labels: map[string]string{}}
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	ref := flags.String("ref", "", "`name:tag` of the image, registry included")
	flags.StringVar(&spec.binary, "binary", "", "`file` with the program, a static one for Linux; its own header says for which architecture")
	flags.StringVar(&spec.entrypoint, "entrypoint", "", "absolute `path` of the program in the image")
	flags.IntVar(&spec.user, "user", 65532, "`uid` and gid that the program runs as")
	flags.Func("label", "`key=value` to set on the image; repeatable", spec.addLabel)
	out := flags.String("out", "", "`file` to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there are no arguments, only flags; got %q", flags.Args())
	}
	for name, value := range map[string]string{"binary": spec.binary, "out": *out} {
		if value == "" {
			return fmt.Errorf("--%s is missing", name)
		}
	}
	var err error
	if spec.ref, err = parseRef(*ref); err != nil {
		return err
	}
	if spec.created, err = parseEpoch(epoch); err != nil {
		return err
	}
	image, err := build(spec)
	if err != nil {
		return err
	}
	return writeArchive(*out, spec.ref, image)
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
