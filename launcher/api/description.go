package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// apiVersion is the API's own, which changes by what is added; what is taken away would be /v2.
const apiVersion = "1.0.0"

// configuration is huma's, without its pages and links: those would have a browser load scripts from elsewhere.
func configuration() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Slipway launcher", Version: apiVersion,
				Description: "Starts, watches and stops the servers of hubs. What a server is like is policy's decision; a refusal says why.\n\n" +
					"Names of users and servers are path segments, percent-encoded. Every answer that isn't what was asked for is a problem as RFC 9457 says, with a code.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {
					Type: "http", Scheme: "bearer",
					Description: "A service account's token for the audience " + Audience + ". On a unix socket none is needed.",
				}},
			},
			Security: []map[string][]string{{"token": {}}, {}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// maxGroup is as long as JupyterHub's names of groups can be.
const maxGroup = 255

// describe adds what types can't say.
func describe(document *huma.OpenAPI) {
	start := document.Components.Schemas.Map()["Start"]
	for name, property := range start.Properties {
		// huma takes null for left out.
		property.Nullable = !slices.Contains(start.Required, name)
	}
	start.Properties["env"].Extensions = map[string]any{"propertyNames": map[string]any{"pattern": variablePattern, "maxLength": maxVariable}}
	start.Properties["files"].Extensions = map[string]any{"propertyNames": map[string]any{"enum": tlsFiles}}
	for _, param := range document.Paths[profilesPath].Get.Parameters {
		if param.Name == "group" {
			param.Schema.Items.MinLength = new(1) // strictQuery sees to it, and huma to the other
			param.Schema.Items.MaxLength = new(maxGroup)
			param.Schema.Items.PrecomputeMessages()
		}
	}
}

// serveDescription has the description served, which is made when it is asked for first: it takes longer than to start.
func (h *Handler) serveDescription() {
	serve := func(path, kind string, describe func() ([]byte, error)) {
		once := sync.OnceValues(describe)
		h.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			seen := seenOf(r.Context())
			seen.operation = idDescribe
			text, err := once()
			if err != nil {
				seen.err, seen.code = err, CodeInternal
				problemOf(err).write(w)
				return
			}
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(text) // the client may be gone
		})
	}
	serve("/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(h.api.OpenAPI()) })
	serve("/openapi.yaml", "application/openapi+yaml", h.YAML)
}

// YAML is the OpenAPI description.
func (h *Handler) YAML() ([]byte, error) {
	text, err := h.api.OpenAPI().YAML()
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return append(bytes.TrimRight(text, "\n"), '\n'), nil
}
