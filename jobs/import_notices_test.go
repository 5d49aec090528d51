package jobs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

const (
	goodFile   = "email,name\nzoe@private.example,Zoe Private\n"
	oneBad     = goodFile + "zoe@,Zoe Private\n"
	noSuchFile = "foo,bar\n1,2\n"
)

// importBy runs an import as one of a token; uuid.Nil: of the configuration.
func (h *testEnv) importBy(token uuid.UUID, file string, o roster.Options) *roster.Import {
	h.Helper()
	i := h.upload(file, o)
	if token != uuid.Nil {
		h.sql(`UPDATE imports SET actor_kind = 'token', actor_id = $2 WHERE id = $1`, i.ID, token)
	}
	return h.run(h.importer(importer.Config{}), i.ID)
}

// addNotifier makes a token with notices.
func (h *testEnv) addNotifier(tell storage.TokenNotices) uuid.UUID {
	h.Helper()
	_, hash := auth.NewToken()
	token, err := h.store.CreateSourceToken(h.Context(), "nightly", hash, []string{"imports"}, "hr", 0, tell, tester)
	if err != nil {
		h.Fatal(err)
	}
	return token.ID
}

// TestToldWhenImportEnds: the addresses of the import, or else of its token, get one
// mail with counts and a link, and nothing from the file.
func TestToldWhenImportEnds(t *testing.T) {
	t.Parallel()
	all, failures := storage.TokenNotices{Notify: []string{"it@example.com"}}, storage.TokenNotices{Notify: []string{"it@example.com"}, FailuresOnly: true}
	own := roster.Options{SendInvitations: true, Notify: []string{"hr@example.com", "boss@example.com"}}
	for _, c := range []struct {
		name, file string
		token      *storage.TokenNotices
		options    roster.Options
		to, says   string
	}{
		{"named by the import", oneBad, nil, own, "boss@example.com hr@example.com", "is complete, but some rows failed"},
		{"named by both", goodFile, &all, own, "boss@example.com hr@example.com", "1 user created"},
		{"named by the token", goodFile, &all, roster.Options{}, "it@example.com", "is complete."},
		{"failures only, none", goodFile, &failures, roster.Options{}, "", ""},
		{"failures only, a failed row", oneBad, &failures, roster.Options{}, "it@example.com", "1 failed row"},
		{"failures only, the file", noSuchFile, &failures, roster.Options{}, "it@example.com", "failed (missing_column)"},
		{"no one", goodFile, nil, roster.Options{}, "", ""},
		{"a dry run that waits", goodFile, nil, roster.Options{DryRun: true, Notify: own.Notify}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{})
			h := newNoticesEnv(t, plain(server))
			var token uuid.UUID
			if c.token != nil {
				token = h.addNotifier(*c.token)
			}
			i := h.importBy(token, c.file, c.options)
			h.attempt()
			var to []string
			for _, m := range server.Mails() {
				to = append(to, m.To)
				text := strings.ReplaceAll(m.Data, "=\r\n", "")
				if !strings.Contains(text, c.says) || !strings.Contains(text, publicURL+"/admin/imports/"+i.ID.String()) {
					t.Errorf("it does not say %q, or lacks the link:\n%s", c.says, text)
				}
				for _, private := range []string{"zoe", "Zoe", "people.csv", "foo"} {
					if strings.Contains(text, private) {
						t.Errorf("it says %q", private)
					}
				}
			}
			slices.Sort(to)
			if got := strings.Join(to, " "); got != c.to {
				t.Errorf("mails to %q, want %q", got, c.to)
			}
			if i = h.read(i.ID); i.Status.Ended() && len(i.Options.Notify) != 0 {
				t.Errorf("still kept after the end: %v", i.Options.Notify)
			}
			if i.Status != roster.Ready {
				return
			}
			if err := h.store.CancelImport(t.Context(), i.ID, tester); err != nil {
				t.Fatal(err)
			}
			if h.attempt(); len(server.Mails()) != 0 {
				t.Error("told of a dry run that was discarded")
			}
		})
	}
}

// TestExpectedImportDidNotCome: administrators and the token's addresses get one
// mail, until an import completes; metrics count the token.
func TestExpectedImportDidNotCome(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	h := newNoticesEnv(t, plain(server))
	token := h.addNotifier(storage.TokenNotices{Notify: []string{"it@example.com", "ann@example.com"}, FailuresOnly: true, Every: 26 * time.Hour})
	h.addNotifier(storage.TokenNotices{}) // expects nothing
	late := func(want int) {
		t.Helper()
		n, err := h.store.NoticeMissedImports(t.Context())
		if err != nil || n != want {
			t.Fatalf("%d are late (%v), want %d", n, err, want)
		}
		h.attempt()
	}
	missed := func() int64 {
		t.Helper()
		stats, err := h.store.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return stats.MissedImports
	}
	pass := func() { h.sql(`UPDATE api_tokens SET expected_from = expected_from - interval '27 hours'`) }
	late(0)
	pass()
	late(1)
	late(0)
	var to []string
	for _, m := range server.Mails() {
		to = append(to, m.To)
		if text := strings.ReplaceAll(m.Data, "=\r\n", ""); !strings.Contains(text, "“nightly” (source hr) should complete an import every 26 hours") && !strings.Contains(text, "=E2=80=9Cnightly=E2=80=9D (source hr) should complete an import every 26 hours") {
			t.Error(text)
		}
	}
	slices.Sort(to)
	if got := strings.Join(to, " "); got != "ann@example.com it@example.com" || missed() != 1 {
		t.Fatalf("mails to %q, %d missed", got, missed())
	}
	h.importBy(token, noSuchFile, roster.Options{}) // does not count
	if missed() != 1 {
		t.Error("a failed import counts as the one that was expected")
	}
	h.importBy(token, goodFile, roster.Options{})
	if missed() != 0 {
		t.Error("still missed")
	}
	late(0)
	pass()
	late(1) // once more
	h.sql(`UPDATE api_tokens SET revoked_at = now(), missed_at = NULL`)
	late(0)
	if missed() != 0 {
		t.Error("an import of a revoked token is missed")
	}
}
