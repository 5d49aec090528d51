package storage_test

import (
	"fmt"
	"math/rand/v2"
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

// TestSourceUsersAmongOthers: imports of several sources, with ids of all in any
// order, users made by hand, keys of users whom another source has created: each
// source gets its own, in order, whatever the size of a page and however many others
// there are in between.
func TestSourceUsersAmongOthers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	r := rand.New(rand.NewPCG(seed[0], seed[1]))
	sources := []string{"default", "crm"}
	id := func(n int) string { return fmt.Sprintf("01000000-0000-7000-8000-%012d", n) }
	for n := range 14 {
		first, imported := r.IntN(400), r.IntN(2)*storage.SourcePage
		h.exec(`INSERT INTO imports (id, source, status, dry_run, on_duplicate, send_invitations, filename, size_bytes, sha256, actor_kind, actor_id, actor,
		               started_at, finished_at, total, checked, valid, processed, imported)
			VALUES ($1, $2, 'completed', false, 'skip', false, 'f.csv', 1, sha256(''), 'config', '00000000-0000-0000-0000-000000000000', 'test', now(), now(), $3, $3, $3, $3, $3)`,
			id(1000+n), sources[r.IntN(2)], imported)
		for range 1 + r.IntN(12) {
			first += 1 + r.IntN(9)
			h.exec(`INSERT INTO users (id, email, email_key, name, status, import_id) VALUES ($1, $2, $2, 'x', $3, $4) ON CONFLICT DO NOTHING`,
				id(first), fmt.Sprintf("p%d@example.com", first), []string{"invited", "invited", "disabled"}[r.IntN(3)], id(1000+n))
		}
	}
	h.exec(`UPDATE users SET import_id = NULL WHERE random() < 0.2`)
	h.exec(`UPDATE imports i SET first_user_id = u.first, last_user_id = u.last
		  FROM (SELECT import_id, min(id::text)::uuid AS first, max(id::text)::uuid AS last FROM users GROUP BY 1) u WHERE u.import_id = i.id`)
	for _, source := range sources {
		h.exec(`INSERT INTO external_ids (source, external_id, user_id) SELECT $1, 'k' || right(id::text, 5), id FROM users WHERE random() < 0.4`, source)
	}
	for _, source := range sources {
		var want []storage.SourceUser
		rows, err := h.DB().Query(`
			SELECT u.id, u.email_key, COALESCE(k.external_id, '')
			  FROM users u LEFT JOIN external_ids k ON k.user_id = u.id AND k.source = $1
			 WHERE u.status <> 'disabled' AND (k.user_id IS NOT NULL OR u.import_id IN (SELECT id FROM imports WHERE source = $1)) ORDER BY u.id`, source)
		h.must(err)
		for rows.Next() {
			var u storage.SourceUser
			h.must(rows.Scan(&u.ID, &u.EmailKey, &u.Key))
			want = append(want, u)
		}
		h.must(rows.Err())
		for _, limit := range []int{1, 2, 5, 1000} {
			var got []storage.SourceUser
			for after := uuid.Nil; ; {
				page, last, err := h.SourceUsers(h.ctx, source, after, limit)
				h.must(err)
				got = append(got, page...)
				if after = last; after == uuid.Nil {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %d users, want %d; seed %v", source, limit, len(got), len(want), seed)
			}
		}
	}
}
