package storage_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// TestLinkWorksOnceOfFifty uses one link fifty times at once: of an invitation,
// and to a new password.
func TestLinkWorksOnceOfFifty(t *testing.T) {
	t.Parallel()
	const uses = 50
	for name, use := range map[string]func(h *testEnv, id uuid.UUID) error{
		"invitation": func(h *testEnv, id uuid.UUID) error { return h.AcceptInvitation(h.ctx, id, 1, "hash", "192.0.2.7") },
		"reset":      func(h *testEnv, id uuid.UUID) error { return h.ResetPassword(h.ctx, id, 0, "hash", "192.0.2.7") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			person := storage.NewUser{Email: "ada@example.com", EmailKey: "ada@example.com", Name: "Ada", Role: roster.RoleUser}
			if name == "reset" {
				person.PasswordHash = "old"
			}
			id, err := h.CreateUser(h.ctx, person, time.Hour, by)
			h.must(err)
			outcomes := make([]error, uses)
			var all sync.WaitGroup
			for i := range uses {
				all.Go(func() { outcomes[i] = use(h, id) })
			}
			all.Wait()
			worked := 0
			for _, err := range outcomes {
				switch {
				case err == nil:
					worked++
				case !errors.Is(err, storage.ErrLinkUsed):
					t.Errorf("a use too many ends with %v", err)
				}
			}
			if worked != 1 {
				t.Errorf("the link worked %d times", worked)
			}
		})
	}
}
