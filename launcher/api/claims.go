package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-hub/slipway/launcher"
)

const claimsPath = userPath + "/claims"

func (h *Handler) registerClaims() {
	list := h.operation(idClaims, http.MethodGet, claimsPath, "A user's claims", http.StatusOK, asking)
	huma.Register(h.api, list, func(ctx context.Context, in *OfUser) (*answered[Claims], error) {
		claims, err := h.launcher.Claims(ctx, in.Hub, in.User)
		return answerClaims(ctx, claims, err)
	})

	const never = "They go once no pod uses them. Answers with those whose deletion was asked for: none where policy doesn't say deleteClaims."
	all := h.operation(idDeleteUser, http.MethodDelete, claimsPath, "Delete all claims of a user, for ever", http.StatusOK, asking)
	all.Description = never
	huma.Register(h.api, all, func(ctx context.Context, in *OfUser) (*answered[Claims], error) {
		return h.deleteClaims(ctx, in.key(), true)
	})
	one := h.operation(idDelete, http.MethodDelete, defaultPath+"/claims", "Delete a server's claims, for ever", http.StatusOK, asking)
	one.Description = never + " What other servers of the user have too stays."
	huma.Register(h.api, one, func(ctx context.Context, in *OfUser) (*answered[Claims], error) {
		return h.deleteClaims(ctx, in.key(), false)
	})
	huma.Register(h.api, named(one), func(ctx context.Context, in *OfNamed) (*answered[Claims], error) {
		return h.deleteClaims(ctx, in.key(), false)
	})
}

func (h *Handler) deleteClaims(ctx context.Context, k launcher.Key, allServers bool) (*answered[Claims], error) {
	claims, err := h.launcher.DeleteClaims(ctx, k, allServers)
	return answerClaims(ctx, claims, err)
}

func answerClaims(ctx context.Context, claims []launcher.Claim, err error) (*answered[Claims], error) {
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &answered[Claims]{http.StatusOK, claimsOf(claims)}, nil
}
