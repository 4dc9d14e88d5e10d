package server

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLogIsJSONOfTheLevelThatWasAskedFor(t *testing.T) {
	var out bytes.Buffer
	handler, err := (&logFlags{level: "info", format: "json"}).handler(&out)
	require.NoError(t, err)
	log := logr.FromSlogHandler(handler)
	log.V(1).Info("too much")
	log.Info("denied", "pod", "jupyter-alice")
	line := map[string]any{}
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), "one line of JSON: %s", out.String())
	assert.Equal(t, "denied", line["msg"])
	assert.Equal(t, "jupyter-alice", line["pod"])
}
