package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

const profilesPath = userPath + "/profiles"

type profilesInput struct {
	OfUser
	Group     []string        `query:"group,explode" doc:"A group that the user is in; may be repeated."                                            maxItems:"1000"`
	Server    string          `query:"server"        doc:"The server's unescaped name; left out: the default one."                                  maxLength:"255"`
	Namespace string          `query:"namespace"     doc:"Where the pod would be; left out: where policy says, else the launcher's only namespace." maxLength:"63"  pattern:"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"`
	UserID    optional[int64] `query:"userId"        doc:"The hub's own number of the user."`
}

func (h *Handler) registerProfiles() {
	op := h.operation(idProfiles, http.MethodGet, profilesPath, "What a user may choose from", http.StatusOK, asking, map[int]string{
		http.StatusForbidden: "Policy refuses this user (the first reason's code), or the caller doesn't speak for this hub (HubNotAllowed).",
	})
	huma.Register(h.api, op, func(ctx context.Context, in *profilesInput) (*answered[Profiles], error) { return h.profiles(ctx, in) })
}

func (h *Handler) profiles(ctx context.Context, in *profilesInput) (*answered[Profiles], error) {
	r := launcher.Request{
		Key:       launcher.Key{Hub: in.Hub, User: in.User, Name: in.Server},
		Namespace: in.Namespace, Groups: in.Group,
	}
	if in.UserID.given {
		r.UserID = new(in.UserID.value())
	}
	offer, err := h.launcher.Profiles(ctx, r)
	if err != nil {
		return nil, failed(ctx, err)
	}
	profiles := offer.Profiles
	if profiles == nil {
		profiles = []policy.Offered{}
	}
	return &answered[Profiles]{http.StatusOK, Profiles{profiles, offer.DNS}}, nil
}
