package server

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

type logFlags struct{ level, format string }

// setUp has everything that logs, in whatever way, do it in the form that was asked for.
func (f *logFlags) setUp(w io.Writer) (logr.Logger, error) {
	handler, err := f.handler(w)
	if err != nil {
		return logr.Logger{}, err
	}
	slog.SetDefault(slog.New(handler))
	logger := logr.FromSlogHandler(handler)
	log.SetLogger(logger)
	klog.SetLogger(logger)
	return logger, nil
}

func (f *logFlags) handler(w io.Writer) (slog.Handler, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q must be debug, info, warn or error", f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "json":
		return slog.NewJSONHandler(w, options), nil
	case "text":
		return slog.NewTextHandler(w, options), nil
	}
	return nil, fmt.Errorf("--log-format %q must be json or text", f.format)
}
