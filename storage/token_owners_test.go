package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// TestTokensFollowTheirOwners: a user's token works while the user is an active
// administrator, and no longer lends a right to the rows of its imports; one from
// the command line does not depend on anyone.
func TestTokensFollowTheirOwners(t *testing.T) {
	t.Parallel()
	for name, fall := range map[string]func(h *testEnv, id uuid.UUID) error{
		"disabled": func(h *testEnv, id uuid.UUID) error {
			_, err := h.ChangeUser(h.ctx, id, storage.UserChange{Disabled: new(true)}, by)
			return err
		},
		"demoted": func(h *testEnv, id uuid.UUID) error {
			_, err := h.ChangeUser(h.ctx, id, storage.UserChange{Role: new(roster.RoleUser)}, by)
			return err
		},
		"erased": func(h *testEnv, id uuid.UUID) error {
			p, err := h.DataSubject(h.ctx, id)
			if err != nil {
				return err
			}
			return h.EraseUser(h.ctx, p, []string{p.EmailKey}, strings.Repeat("0", 32), by)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			owner, heir := h.active("owner", roster.RoleAdmin), h.active("heir", roster.RoleAdmin)
			as := func(id uuid.UUID) storage.AuditEntry {
				return storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: id, Label: "x"}}
			}
			token, err := h.CreateToken(h.ctx, "hr", hash(1), []string{"admin"}, 0, as(owner))
			h.must(err)
			free, err := h.CreateToken(h.ctx, "cli", hash(2), []string{"admin"}, 0, by)
			h.must(err)
			if token.OwnerID == nil || *token.OwnerID != owner || token.Orphaned || free.OwnerID != nil {
				t.Fatalf("%+v, %+v", token, free)
			}
			works := func() (works bool) {
				_, err := h.TokenByHash(h.ctx, hash(1))
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Fatal(err)
				}
				may, mayErr := h.CanGrantAdmin(h.ctx, roster.Actor{Kind: roster.ActorToken, ID: token.ID}, storage.AdminScopes())
				h.must(mayErr)
				if may != (err == nil) {
					t.Errorf("the token is taken: %v; it may make administrators: %v", err == nil, may)
				}
				return err == nil
			}
			if !works() {
				t.Error("it does not work from the start")
			}
			h.must(fall(h, owner))
			if works() {
				t.Error("it works without its owner")
			}
			if _, err := h.TokenByHash(h.ctx, hash(2)); err != nil {
				t.Errorf("the token of the command line: %v", err)
			}
			h.must(h.TransferToken(h.ctx, token.ID, as(heir)))
			if !works() {
				t.Error("it does not work for who took it over")
			}
			if err := h.TransferToken(h.ctx, free.ID, as(heir)); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the token of the command line can be taken over: %v", err)
			}
			h.must(h.RevokeToken(h.ctx, token.ID, by))
			if err := h.TransferToken(h.ctx, token.ID, as(owner)); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a revoked token can be taken over: %v", err)
			}
		})
	}
}
