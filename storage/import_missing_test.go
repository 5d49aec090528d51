package storage_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// TestSourceUsers: page by page everyone of the source comes once, with and without a
// key, and no one who is disabled or of another source.
func TestSourceUsers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	var people []storage.UserRow
	for n := range 7 {
		name, key := fmt.Sprint("p", n), ""
		if n%2 == 0 {
			key = fmt.Sprint(n)
		}
		people = append(people, newcomer(int64(n+2), name, keyedRow(key, name+"@example.com")))
	}
	h.applyKeyed(people...)
	h.exec(`UPDATE users SET status = 'disabled' WHERE id = $1`, people[3].ID)
	other := h.importing(roster.Options{Source: "other"}, 1)
	_, err := h.ApplyBatch(h.ctx, other, storage.Batch{To: at(3), Rows: 1, Newcomers: []storage.UserRow{newcomer(2, "bob")}, Matching: storage.Matching{Source: "other"}, Last: true})
	h.must(err)

	for _, limit := range []int{1, 2, 3, 6, 7} {
		var got []storage.SourceUser
		for after := uuid.Nil; ; {
			page, last, err := h.SourceUsers(h.ctx, roster.DefaultSource, after, limit)
			h.must(err)
			got = append(got, page...)
			if after = last; after == uuid.Nil {
				break
			}
		}
		var want []storage.SourceUser
		for _, p := range slices.Concat(people[:3], people[4:]) {
			want = append(want, storage.SourceUser{ID: p.ID, EmailKey: p.EmailKey, Key: p.ExternalID})
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
}
