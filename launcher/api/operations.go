package api

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/slipway-hub/slipway/launcher"
)

// The operations' names. Those of a named server are called the same in metrics and log.
const (
	idList       = "listServers"
	idGet        = "getServer"
	idStart      = "startServer"
	idStop       = "stopServer"
	idProgress   = "watchProgress"
	idProfiles   = "listProfiles"
	idClaims     = "listClaims"
	idDelete     = "deleteServerClaims"
	idDeleteUser = "deleteUserClaims"
	idDescribe   = "describe"

	namedSuffix = "OfNamed"
)

var operationIDs = []string{idList, idGet, idStart, idStop, idProgress, idProfiles, idClaims, idDelete, idDeleteUser, idDescribe}

const (
	hubPath     = "/v1/hubs/{hub}"
	userPath    = hubPath + "/users/{user}"
	defaultPath = userPath + "/server"
	namedPath   = userPath + "/servers/{name}"
)

// OfHub is in the path of every operation.
type OfHub struct {
	Hub string `path:"hub" doc:"The hub; the caller must speak for it." example:"main" maxLength:"63" minLength:"1"`
}

// OfUser is in the path of what concerns a user, and of a user's default server.
type OfUser struct {
	OfHub
	User string `path:"user" doc:"The unescaped user name, percent-encoded." example:"alice" maxLength:"255" minLength:"1"`
}

func (o *OfUser) key() launcher.Key { return launcher.Key{Hub: o.Hub, User: o.User} }

// OfNamed is in the path of what concerns a named server.
type OfNamed struct {
	OfUser
	Name string `path:"name" doc:"The server's unescaped name, percent-encoded." example:"gpu" maxLength:"255" minLength:"1"`
}

func (o *OfNamed) key() launcher.Key { return launcher.Key{Hub: o.Hub, User: o.User, Name: o.Name} }

type answered[T any] struct {
	Status int
	Body   T
}

// register has every operation served and described.
func (h *Handler) register() {
	huma.Register(h.api, h.operation(idList, http.MethodGet, hubPath+"/servers", "All servers of a hub", http.StatusOK),
		func(_ context.Context, in *OfHub) (*answered[Servers], error) { return h.list(in.Hub), nil })
	h.registerServers()
	h.registerProgress()
	h.registerProfiles()
	h.registerClaims()
}

// problems are the statuses that every operation may answer with.
var problems = map[int]string{
	http.StatusBadRequest:          "The request can't be read (BadRequest).",
	http.StatusUnauthorized:        "No token, or one that the cluster doesn't take (Unauthenticated).",
	http.StatusForbidden:           "The caller doesn't speak for this hub (HubNotAllowed).",
	http.StatusNotFound:            "The API has no such path (NoSuchPath), as where a name in it is empty.",
	http.StatusUnprocessableEntity: "The request isn't what this description allows (Invalid).",
	http.StatusTooManyRequests:     "The API server has enough to do, or is being asked about too many new tokens (TooManyRequests).",
	http.StatusInternalServerError: "The launcher's own failure (InternalError).",
	http.StatusServiceUnavailable:  "The API server can't be reached (ClusterUnavailable), or the launcher doesn't know the servers yet (NotReady).",
}

// asking are those of operations that ask the API server, beside problems.
var asking = map[int]string{
	http.StatusConflict:       "It can't be done as things are (StartFailed), or not at this moment (PolicyChanged, Conflict; retryable).",
	http.StatusGatewayTimeout: "Time was over (Timeout).",
}

// operation describes an operation with all that it may answer.
func (h *Handler) operation(id, method, path, summary string, status int, more ...map[int]string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status, Responses: map[string]*huma.Response{}}
	all := maps.Clone(problems)
	for _, m := range more {
		maps.Copy(all, m)
	}
	schema := h.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for code, says := range all {
		r := &huma.Response{Description: says, Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
		switch code {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			r.Headers = map[string]*huma.Header{"Retry-After": {
				Description: "After how many seconds to try again.", Schema: &huma.Schema{Type: huma.TypeInteger},
			}}
		case http.StatusUnauthorized:
			r.Headers = map[string]*huma.Header{"WWW-Authenticate": {Schema: &huma.Schema{Type: huma.TypeString}}}
		}
		op.Responses[strconv.Itoa(code)] = r
	}
	return op
}

// named is the same operation for a named server.
func named(op huma.Operation) huma.Operation {
	op.OperationID += namedSuffix
	op.Summary += ": a named server"
	op.Path = strings.Replace(op.Path, defaultPath, namedPath, 1)
	op.Responses = maps.Clone(op.Responses)
	return op
}

// answersToo adds an answer without a problem to an operation.
func (h *Handler) answersToo(op *huma.Operation, status int, says string, body reflect.Type) {
	r := &huma.Response{Description: says}
	if body != nil {
		schema := h.api.OpenAPI().Components.Schemas.Schema(body, true, "")
		r.Content = map[string]*huma.MediaType{"application/json": {Schema: schema}}
	}
	op.Responses[strconv.Itoa(status)] = r
}

// admit lets through whoever speaks for the hub of the path, once the launcher knows its servers: before that, one that runs
// would be told as gone.
func (h *Handler) admit(ctx huma.Context, next func(huma.Context)) {
	s := seenOf(ctx.Context())
	s.operation = strings.TrimSuffix(ctx.Operation().OperationID, namedSuffix)
	s.hub, s.user, s.server = ctx.Param("hub"), ctx.Param("user"), ctx.Param("name")
	var p *Problem
	if !mayUse(ctx.Context(), s.hub) {
		p = problem(http.StatusForbidden, CodeHubNotAllowed, "the caller doesn't speak for this hub; --account and --hub of the launcher say who does")
	} else if err := h.launcher.Ready(); err != nil {
		p = problem(http.StatusServiceUnavailable, CodeNotReady, "the launcher isn't ready: "+err.Error()).later(soon)
	}
	if p == nil {
		next(ctx)
		return
	}
	s.code = p.Code
	_, w := humago.Unwrap(ctx)
	p.write(w)
}

// strictQuery refuses what huma would take for left out, or of which it would take the first.
func strictQuery(ctx huma.Context, next func(huma.Context)) {
	u := ctx.URL()
	query := u.Query()
	for _, param := range ctx.Operation().Parameters {
		values := query[param.Name]
		if param.In != "query" || len(values) == 0 {
			continue
		}
		says := ""
		for _, value := range values {
			if value == "" && param.Schema.Type != huma.TypeString {
				says = "may not be empty"
			}
		}
		if len(values) > 1 && param.Schema.Type != huma.TypeArray {
			says = "may be given once"
		}
		if says != "" {
			p := newHumaError(http.StatusUnprocessableEntity, "", &huma.ErrorDetail{Location: "query." + param.Name, Message: says})
			seenOf(ctx.Context()).code = CodeInvalid
			_, w := humago.Unwrap(ctx)
			p.write(w)
			return
		}
	}
	next(ctx)
}

// failed makes the launcher's error the request's answer.
func failed(ctx context.Context, err error) error {
	p := problemOf(err)
	s := seenOf(ctx)
	s.code, s.err = p.Code, err
	return p
}
