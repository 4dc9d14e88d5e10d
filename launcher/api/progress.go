package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/slipway-hub/slipway/launcher"
)

const (
	// writeTime bounds how long a client may take to read one event.
	writeTime = 10 * time.Second
	// askAgain is what a stream that is cut tells its client to wait before it asks again.
	askAgain = time.Second
)

func (h *Handler) registerProgress() {
	op := h.operation(idProgress, http.MethodGet, defaultPath+"/progress", "How a server comes up", http.StatusOK)
	op.Description = "Server-sent events of type step, whose data is a Step. The last one has done set; a stream that ends without " +
		"was cut, by the launcher's end say: ask again. Comment lines come while there is nothing to tell."
	op.Responses["200"] = &huma.Response{
		Description: "Steps, as they come.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: h.eventSchema()}},
	}
	huma.Register(h.api, op, func(_ context.Context, in *struct {
		OfUser
		OfStart
	}) (*huma.StreamResponse, error) {
		return h.progress(in.key(), in.StartID), nil
	})
	huma.Register(h.api, named(op), func(_ context.Context, in *struct {
		OfNamed
		OfStart
	}) (*huma.StreamResponse, error) {
		return h.progress(in.key(), in.StartID), nil
	})
}

// OfStart is in the query of what may concern one start.
type OfStart struct {
	StartID string `query:"startId" doc:"The start's id: pods of other starts are passed over, such as one that is to make way. Left out: those of any start." maxLength:"256"`
}

// eventSchema describes one event of the stream, in the words that OpenAPI 3.2 has for that.
func (h *Handler) eventSchema() *huma.Schema {
	step := h.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Step](), true, "Step")
	return &huma.Schema{
		Type: huma.TypeObject, Description: "One event.", Required: []string{"event", "data"},
		Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{"step"}},
			"data": {
				Type: huma.TypeString, Description: "A Step, as JSON.",
				Extensions: map[string]any{"contentMediaType": "application/json", "contentSchema": step},
			},
		},
	}
}

func (h *Handler) progress(k launcher.Key, startID string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back until it has a buffer full
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return
		}
		streams.Inc()
		defer streams.Dec()
		h.stream(ctx.Context(), &events{w: w, control: http.NewResponseController(w)}, k, startID)
	}}
}

// stream writes steps until the last, until the client is gone, or until the launcher is to end.
func (h *Handler) stream(ctx context.Context, to *events, k launcher.Key, startID string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	steps := make(chan launcher.Step)
	go func() {
		defer close(steps)
		for step := range h.launcher.Progress(ctx, k, startID) {
			select {
			case steps <- step:
			case <-ctx.Done():
				return
			}
		}
	}()
	beat := time.NewTicker(h.heartbeat)
	defer beat.Stop()
	err := to.write(": here\n\n")
	for err == nil {
		select {
		case step, more := <-steps:
			if !more {
				return
			}
			err = to.step(step)
			if step.Done {
				return
			}
		case <-beat.C:
			err = to.write(": still here\n\n")
		case <-h.draining:
			_ = to.write(fmt.Sprintf("retry: %d\n\n", askAgain.Milliseconds())) // it ends either way
			return
		case <-ctx.Done():
			return
		}
	}
}

// events writes server-sent events, each at once.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e *events) step(s launcher.Step) error {
	data, err := json.Marshal(stepOf(s))
	if err != nil {
		return fmt.Errorf("encode a step: %w", err)
	}
	var block bytes.Buffer
	block.WriteString("event: step\ndata: ")
	block.Write(data)
	block.WriteString("\n\n")
	return e.write(block.String())
}

func (e *events) write(block string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTime)) // a recorder of a test has no deadlines
	if _, err := e.w.Write([]byte(block)); err != nil {
		return fmt.Errorf("write to a progress stream: %w", err)
	}
	return e.control.Flush()
}
