// Package api is the launcher's HTTP API: the handlers, the types on the wire, and the OpenAPI description made from them.
package api

import (
	"github.com/danielgtaylor/huma/v2"
	_ "github.com/danielgtaylor/huma/v2/adapters/humago"
)

var _ huma.API
