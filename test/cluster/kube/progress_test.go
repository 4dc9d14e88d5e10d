package kube

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgressInALogIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown output
		p := showProgressOn(&shown, "Kubernetes", false)
		p.step("compiling", 3)
		for _, line := range []string{"pkg/a", "# pkg/b", "go: downloading example.com/m v1.0.0", "pkg/b"} {
			p.compile(line)
		}
		time.Sleep(31 * time.Second) //nolint:forbidigo // of the bubble's clock
		p.stop()

		assert.Equal(t, []string{
			"Kubernetes: compiling, 0 of 3, 0s",
			"Kubernetes: compiling, 3 of 3, 15s",
			"Kubernetes: compiling, 3 of 3, 30s",
			"",
		}, strings.Split(shown.String(), "\n"))
	})
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown output
		p := showProgressOn(&shown, "Kubernetes", true)
		p.notef("note %d", 1)
		p.step("downloading", 0)
		p.download("go: downloading example.com/m v1.0.0")
		time.Sleep(time.Second + 1) //nolint:forbidigo // of the bubble's clock
		p.stop()

		assert.Equal(t, "note 1\n"+
			"\r\x1b[KKubernetes: downloading, 0s"+
			"\r\x1b[KKubernetes: downloading, 1, 1s"+
			"\r\x1b[KKubernetes: downloading, 1, 1s\n", shown.String())
	})
}

func TestLinesOfGoAreToldApart(t *testing.T) {
	p := showProgress(&output{}, "Kubernetes")
	defer p.stop()
	for line, isProgress := range map[string]bool{
		"k8s.io/api/core/v1":                         true,
		"go: downloading k8s.io/api v0.37.2":         true,
		"go: k8s.io/api@v0.37.2: reading: not found": false,
		"# k8s.io/api/core/v1":                       false,
		"./types.go:1:1: undefined: x":               false,
		"":                                           false,
	} {
		assert.Equal(t, isProgress, p.compile(line), line)
	}
}
