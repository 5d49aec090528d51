package storage_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/storage"
)

// searchable takes all the steps that are left to do.
func (h *testEnv) searchable() {
	h.Helper()
	for range 100 {
		done, err := h.UpdateUserSearch(h.ctx, -time.Hour) // of whatever age
		h.must(err)
		if done {
			return
		}
	}
	h.Fatal("there is no end to it")
}

// TestSearchFindsEveryoneAsTheyAre: users are created, with ids between those of
// others too, renamed and removed, and the blocks follow at some times and not
// at others. A search always finds exactly those whom reading all of them would.
func TestSearchFindsEveryoneAsTheyAre(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	r := rand.New(rand.NewPCG(seed[0], seed[1]))
	syllables := []string{"an", "na", "Be", "ÄR", "är", "to", "İz", "ß", "x", "7", " ", "-", "%", "_"}
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		return b.String()
	}
	var ids []uuid.UUID
	next := 0
	create := func(n int) {
		for range n {
			next++
			id := uuid.Must(uuid.NewV7())
			if len(ids) > 0 && r.IntN(4) == 0 { // committed late, or made by a slow clock
				id = ids[r.IntN(len(ids))]
				id[15], id[14] = byte(r.Uint32()), byte(r.Uint32())
			}
			email := fmt.Sprintf("%s%d@b\u00fccher.example", strings.ToLower(strings.Trim(word(2), " %ßäÄİż")), next)
			if _, err := h.DB().Exec(`INSERT INTO users (id, email, email_key, name, department) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				id, email, strings.Replace(email, "b\u00fccher", "xn--bcher-kva", 1), word(4), word(1)); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	check := func() {
		t.Helper()
		for range 6 {
			q := strings.TrimSpace(word(1 + r.IntN(3)))
			if q == "" {
				continue
			}
			if r.IntN(5) == 0 {
				q = []string{"example", "bücher", "kva", "@b", "nobody at all"}[r.IntN(5)]
			}
			want := one[string](h, `SELECT COALESCE(string_agg(id::text, ' ' ORDER BY id DESC), '') FROM users u
				WHERE strpos(lower(name), lower($1)) > 0 OR strpos(lower(email), lower($1)) > 0 OR strpos(lower(department), lower($1)) > 0
				   OR $1 !~ '[^ -~]' AND strpos(email_key, lower($1)) > 0`, q)
			users, total, err := h.FindUsers(h.ctx, storage.UserFilter{Query: q, Limit: 10_000})
			h.must(err)
			var got []string
			for _, u := range users {
				got = append(got, u.ID.String())
			}
			if found := strings.Join(got, " "); found != want || total.N != int64(len(got)) {
				t.Fatalf("%q finds %d (total %d), want %d; seed %v", q, len(got), total.N, len(strings.Fields(want)), seed)
			}
			listed, err := h.Users(h.ctx, storage.UserFilter{Query: q, Limit: 1, Order: storage.ByEmail})
			h.must(err)
			first := one[string](h, `SELECT COALESCE((SELECT id::text FROM users WHERE id::text = ANY(string_to_array($1, ' ')) ORDER BY email_key LIMIT 1), '')`, want)
			if len(listed) != min(1, len(users)) || len(listed) == 1 && listed[0].ID.String() != first {
				t.Fatalf("%q sorted by address: %v, want %s; seed %v", q, listed, first, seed)
			}
		}
	}
	create(70)
	for range 12 {
		switch r.IntN(5) {
		case 0:
			create(r.IntN(60))
		case 1:
			for range 20 {
				h.exec(`UPDATE users SET name = $2, department = $3 WHERE id = $1`, ids[r.IntN(len(ids))], word(4), word(1))
			}
		case 2:
			h.exec(`DELETE FROM users WHERE id = ANY($1::uuid[])`, "{"+ids[r.IntN(len(ids))].String()+","+ids[r.IntN(len(ids))].String()+"}")
		case 3:
			_, err := h.UpdateUserSearch(h.ctx, -time.Hour)
			h.must(err)
		case 4:
			h.searchable()
		}
		check()
	}
	h.searchable()
	create(31)
	check()
	if n := one[int](h, `SELECT count(*) FROM user_search WHERE upto > after`); n == 0 {
		t.Error("there are no blocks")
	}
	if gaps := one[int](h, `SELECT count(*) FROM (SELECT after, lag(upto) OVER (ORDER BY upto) AS last FROM user_search) b WHERE after <> last`); gaps > 0 {
		t.Errorf("%d gaps between blocks", gaps)
	}
}

// TestSearchBlocksFollow says when there is something to do.
func TestSearchBlocksFollow(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	behind := func(settled time.Duration, want bool, when string) {
		t.Helper()
		got, err := h.UserSearchBehind(h.ctx, settled)
		h.must(err)
		if got != want {
			t.Errorf("%s: behind %t, want %t", when, got, want)
		}
	}
	found := func(q string, want int64) {
		t.Helper()
		_, total, err := h.FindUsers(h.ctx, storage.UserFilter{Query: q, Limit: 1})
		h.must(err)
		if total.N != want {
			t.Errorf("%q finds %d, want %d", q, total.N, want)
		}
	}
	insert := func(n int, name string) {
		t.Helper()
		for i := range n {
			id := uuid.Must(uuid.NewV7())
			h.exec(`INSERT INTO users (id, email, email_key, name) VALUES ($1, $2, $2, $3)`, id, fmt.Sprintf("%s%d@example.com", name, i), name)
		}
	}
	behind(0, false, "at first")
	insert(65, "ada")
	behind(0, true, "users were created")
	h.searchable()
	behind(-time.Hour, false, "afterwards")
	if n := one[int](h, `SELECT count(*) FROM user_search`); n != 2 {
		t.Errorf("65 users are in %d blocks, want 2, and the rest behind them", n)
	}
	found("ada", 65)

	h.exec(`UPDATE users SET name = 'Grace' WHERE email = 'ada7@example.com'`)
	found("grace", 1)
	behind(0, true, "a name has changed")
	h.exec(`INSERT INTO imports (id, status, dry_run, on_duplicate, send_invitations, filename, size_bytes, sha256, actor_kind, actor_id, actor, started_at, lease_until)
		VALUES ('00000000-0000-7000-8000-000000000001', 'checking', true, 'skip', true, 'f.csv', 1, sha256(''), 'config', '00000000-0000-0000-0000-000000000000', 'test', now(), now() + interval '1 hour')`)
	behind(0, false, "an import is being checked")
	h.exec(`UPDATE user_changes SET at = at - interval '6 minutes'`)
	behind(0, true, "the change has waited for long")
	h.searchable()
	found("grace", 1)
	if n := one[int](h, `SELECT count(*) FROM user_search WHERE strpos(text, 'grace') > 0`); n != 1 {
		t.Errorf("the new name is in %d blocks", n)
	}

	// An erasure leaves nothing in the blocks.
	p, err := h.DataSubjectByKey(h.ctx, "ada7@example.com")
	h.must(err)
	h.must(h.EraseUser(h.ctx, p, []string{p.Email}, strings.Repeat("0", 32), by))
	if n := one[int](h, `SELECT count(*) FROM user_search WHERE strpos(text, 'ada7@') > 0 OR strpos(text, 'grace') > 0`); n != 0 {
		t.Error("who was erased is still in the blocks")
	}

	// Retention has deleted changes that the blocks do not have.
	h.exec(`UPDATE users SET name = 'Hedy' WHERE email = 'ada9@example.com'`)
	h.exec(`UPDATE user_change_horizon SET position = (SELECT max(position) FROM user_changes)`)
	h.exec(`DELETE FROM user_changes`)
	h.searchable()
	found("hedy", 1)
	found("ada", 64)
}
