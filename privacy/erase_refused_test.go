package privacy_test

import (
	"errors"
	"testing"

	"rollcall/privacy"
	"rollcall/roster"
	"rollcall/storage"
)

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.must(h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: email, EmailKey: emailKey, Name: name, PasswordHash: "x"}))
	p, err := h.store.DataSubjectByKey(t.Context(), emailKey)
	h.must(err)
	if _, err := h.office.Erase(t.Context(), p, operator); !errors.Is(err, storage.ErrLastAdmin) {
		t.Errorf("the last administrator: %v", err)
	}
	kept := h.upload(operator, []byte("email,name\n"+email+",Z\n"), true, roster.Options{})
	busy := h.upload(operator, []byte("email,name\n"+email+",Z\n"), false, roster.Options{})
	_, err = h.office.Erase(t.Context(), p, operator)
	if why, ok := errors.AsType[*privacy.BusyError](err); !ok || why.ImportID != busy {
		t.Errorf("an import in progress: %v", err)
	}
	if i, err := h.store.Import(t.Context(), kept); err != nil || i.PurgedAt != nil {
		t.Errorf("a file is gone though the erasure was refused: %v", err)
	}
}

// TestEraseWaitsForRowsThatWait: an import that has not ended has a row about the
// person, known by the key, that waits for somebody to give up an address. It would
// create them again, so it has to end first; what is left of it then names no one.
func TestEraseWaitsForRowsThatWait(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	update := roster.Options{OnDuplicate: roster.UpdateDuplicates}
	h.upload(operator, []byte("external_id,email,name\n1,zenobia@example.com,Z\n2,quentin@example.com,Q\n"), true, update)
	update.DryRun = true
	waits := h.upload(operator, []byte("external_id,email,name\n1,quentin@example.com,Zenobia-who-moves\n2,new@example.com,Q\n"), true, update)
	for _, who := range []string{"zenobia@example.com", "quentin@example.com"} {
		p, err := h.store.DataSubjectByKey(t.Context(), who)
		h.must(err)
		_, err = h.office.Erase(t.Context(), p, operator)
		if why, ok := errors.AsType[*privacy.BusyError](err); !ok || why.ImportID != waits {
			t.Errorf("%s: %v", who, err)
		}
	}
	h.must(h.store.CancelImport(t.Context(), waits, operator))
	p, err := h.store.DataSubjectByKey(t.Context(), "zenobia@example.com")
	h.must(err)
	_, err = h.office.Erase(t.Context(), p, operator)
	h.must(err)
	var left int
	h.must(h.store.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM import_deferred_rows WHERE fields::text LIKE '%enobia%' OR holder_key <> ''`).Scan(&left))
	if left > 0 {
		t.Errorf("%d rows that will never be imported still name somebody", left)
	}
}
