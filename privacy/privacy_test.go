package privacy_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/apitypes"
	"rollcall/auth"
	"rollcall/internal/devstack"
	"rollcall/jobs"
	"rollcall/jobs/importer"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The user's data, in spellings that appear nowhere else.
const (
	email    = "Zenobia.O'Quill@quill.example"
	emailKey = "zenobia.o'quill@quill.example"
	name     = "Zenobia \"Zee\" O'Quill & Daughter"
	network  = "192.0.2.123" // the user's network address

	externalID = "hr-zq-00417" // the user's key in another system
)

var operator = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

type testEnv struct {
	*testing.T
	url    string
	store  *storage.Store
	office *privacy.Service
	signer *auth.Signer
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	url := pgtest.New(t)
	store, err := storage.Open(url, storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	signer, err := auth.NewSigner(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	return &testEnv{t, url, store, privacy.New(store, signer), signer}
}

func (h *testEnv) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// upload stores a file and, if work is set, processes it to its end.
func (h *testEnv) upload(by storage.AuditEntry, file []byte, work bool, o roster.Options) uuid.UUID {
	h.Helper()
	if o.OnDuplicate == "" {
		o.OnDuplicate = roster.SkipDuplicates
	}
	r := bytes.NewReader(file)
	received, err := h.store.ReceiveImport(h.Context(), storage.Upload{
		By: by, IdempotencyKey: uuid.NewString(), SealSecret: sealed,
		Next: func() ([]byte, error) {
			chunk := make([]byte, storage.ChunkSize)
			n, err := io.ReadFull(r, chunk)
			if n > 0 {
				return chunk[:n], nil
			}
			return nil, err
		},
		Finish: func() (string, roster.Options, error) { return "people.csv", o, nil },
	})
	h.must(err)
	im := importer.New(h.store, slog.New(slog.DiscardHandler), jobs.NewMetrics(prometheus.NewRegistry()).Importer, importer.Config{})
	for more := work; more; {
		rest, err := im.Run(h.Context(), received.Import.ID)
		h.must(err)
		more = rest.More
	}
	return received.Import.ID
}

func sealed(uuid.UUID) string { return "sealed" }

func utf16le(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// dump is the database as pg_dump writes it, in lower case.
func (h *testEnv) dump() string {
	h.Helper()
	out, err := exec.CommandContext(h.Context(), h.pgDump(), "--data-only", "--inserts", pgtest.Owner(h, h.url)).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		h.Fatalf("pg_dump: %s", failed.Stderr)
	}
	h.must(err)
	return strings.ToLower(string(out))
}

// pgDump finds the program next to the server's, following links.
func (h *testEnv) pgDump() string {
	h.Helper()
	found, err := devstack.FindPostgres(h.Context())
	h.must(err)
	server, err := filepath.EvalSymlinks(filepath.Join(found.Dir, "postgres"))
	h.must(err)
	for _, dir := range []string{found.Dir, filepath.Dir(server)} {
		if path, err := exec.LookPath(filepath.Join(dir, "pg_dump")); err == nil {
			return path
		}
	}
	path, err := exec.LookPath("pg_dump")
	if err != nil && os.Getenv("ROLLCALL_REQUIRE_ALL") != "1" {
		h.Skip("no pg_dump")
	}
	h.must(err)
	return path
}

// traces lists the forms in which the user's data can appear in a dump: as
// text, as text within SQL or JSON, and as bytes.
func traces() map[string][]string {
	inJSON, _ := json.Marshal(name)
	ways := map[string][]string{
		"address":         {strings.ReplaceAll(emailKey, "'", "''"), hex.EncodeToString([]byte(emailKey)), hex.EncodeToString([]byte(email))},
		"address, UTF-16": {hex.EncodeToString(utf16le(email)[2:])},
		"name":            {strings.ReplaceAll(strings.ToLower(name), "'", "''"), hex.EncodeToString([]byte(name)), hex.EncodeToString(inJSON)},
		"surname":         {"o''quill", hex.EncodeToString([]byte("O'Quill"))},
		"network":         {network},
		"attribute":       {phone},
		"external ID":     {externalID}, // not in files: rows there are found by the address
		"second factor":   {sealedFactor},
		"recovery code":   {"public.recovery_codes values"},
	}
	return ways
}

// live makes the user leave traces in every possible place.
func (h *testEnv) live() (p storage.DataSubject, first uuid.UUID) {
	h.Helper()
	ctx := h.Context()
	csv := "email,name,role,department\nother@example.com,Other,user,X\n" + email + `,"` + strings.ReplaceAll(name, `"`, `""`) + `",admin,Y` + "\n"
	first = h.upload(operator, []byte(csv), true, roster.Options{SendInvitations: true})
	p, err := h.store.DataSubjectByKey(ctx, emailKey)
	h.must(err)
	_, err = h.store.DB().ExecContext(ctx, `UPDATE invitations SET expires_at = now() + interval '1 hour' WHERE user_id = $1`, p.UserID)
	h.must(err)
	h.must(h.store.AcceptInvitation(ctx, p.UserID, 1, "hash", network))
	me := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: p.UserID, Label: p.Email}, Address: network}
	_, hash := auth.NewSession()
	h.must(h.store.CreateSession(ctx, storage.SignIn{UserID: p.UserID, PasswordHash: "hash", Session: hash, Browser: "Firefox on Linux", Life: time.Hour}, me))
	h.factor(p.UserID, hash, me)
	h.must(h.store.RequestReset(ctx, emailKey, time.Minute))
	_, err = h.store.CreateToken(ctx, "hr", [32]byte{1}, []string{"admin"}, 0, me)
	h.must(err)
	h.must(h.store.SetEmailSettings(ctx, storage.EmailSettings{Host: "mx.example.com", Port: 25, Security: "none", From: "a@example.com"}, me))
	_, err = h.store.CreateWebhook(ctx, "https://hooks.example.com/", apitypes.ImportEvents(), sealed, me)
	h.must(err)
	h.upload(me, []byte("email,name\nnew@example.com,New\n"), true, roster.Options{WebhookURL: "https://hooks.example.com/"})
	// Rejected in every way that stores values: a duplicate, a role, a second
	// problem, the address in another column, and a file that is not CSV.
	h.upload(operator, []byte(csv+email+","+strings.Repeat("x", 300)+",chief,Z\nbroken@,"+email+",user,\nx@example.com,"+strings.Repeat("y", 201)+" "+email+",user,\n"), true, roster.Options{})
	h.upload(operator, utf16le(csv), true, roster.Options{Encoding: "utf-16le"})
	h.upload(operator, []byte("no header of ours\n"+strings.ToUpper(email)+"\n"), true, roster.Options{})
	h.follow(p)
	_, err = h.store.ChangeUser(ctx, p.UserID, storage.UserChange{Department: new("Q"), Attributes: map[string]string{"phone": phone}}, operator)
	h.must(err)
	for _, called := range []string{"Dr " + name, name} { // both stay in the audit log
		_, err = h.store.ChangeUser(ctx, p.UserID, storage.UserChange{Name: &called}, operator)
		h.must(err)
	}
	return p, first
}

// phone is a declared attribute of the user.
const phone = "+49 30 5550199"

// follow makes the person known to another system, changed by its files, missing
// from one, told about it, and wait in a dry run for an address.
func (h *testEnv) follow(p storage.DataSubject) {
	h.Helper()
	h.must(h.store.EnsureAdmin(h.Context(), storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", PasswordHash: "x"})) // not the last one
	update := roster.Options{OnDuplicate: roster.UpdateDuplicates}
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	h.upload(operator, []byte("email,name,external_id\n"+email+","+quoted+","+externalID+"\nother@example.com,Other,77\n"), true, update)
	held := h.upload(operator, []byte("email,name,external_id\nother@example.com,Other,77\n"), true,
		roster.Options{OnDuplicate: roster.UpdateDuplicates, Missing: roster.MissingDisable, MaxDisable: "0"})
	h.must(h.store.CancelImport(h.Context(), held, operator))
	swap := roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}
	h.upload(operator, []byte("email,name,external_id\nother@example.com,N,"+externalID+"\n"+email+",Other,77\n"), true, swap)
	_, err := h.store.DB().ExecContext(h.Context(), `
		INSERT INTO notices (id, kind, user_id, email, name, detail) VALUES (gen_random_uuid(), 'address_changed', $1, $2, $3, jsonb_build_object('old', $2::text, 'new', 'x'))`, p.UserID, p.Email, name)
	h.must(err)
	for _, query := range []string{ // who is told about imports
		`UPDATE api_tokens SET notify = ARRAY['other@example.com', $1]`,
		`UPDATE imports SET notify = ARRAY[$1] WHERE status = 'ready'`,
		`INSERT INTO notices (kind, email, name) VALUES ('import_ended', $1, '')`,
	} {
		_, err := h.store.DB().ExecContext(h.Context(), query, p.EmailKey)
		h.must(err)
	}
}

// sealedFactor is the secret of the user's second factor.
const sealedFactor = "v1.sealed-second-factor"

// factor sets up a second factor in the given session.
func (h *testEnv) factor(user uuid.UUID, session [32]byte, by storage.AuditEntry) {
	h.Helper()
	h.must(h.store.BeginSecondFactor(h.Context(), user, sealedFactor))
	f, err := h.store.SecondFactorOf(h.Context(), user)
	h.must(err)
	_, hashes := auth.NewRecoveryCodes()
	h.must(h.store.ConfirmSecondFactor(h.Context(), storage.FactorChange{
		UserID: user, Proof: storage.Proof{Factor: f.ID, Step: 1}, Codes: hashes, Current: session, Renewed: session,
	}, by))
}

// TestErasedPersonIsNotInTheDump searches everything that PostgreSQL stores for
// the user, before and after.
func TestErasedPersonIsNotInTheDump(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	p, first := h.live()
	if err := h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", PasswordHash: "x"}); err != nil {
		t.Fatal(err)
	}
	before := h.dump()
	var waiting uuid.UUID // or the erasure would be refused
	h.must(h.store.DB().QueryRowContext(t.Context(), `SELECT id FROM imports WHERE status = 'ready'`).Scan(&waiting))
	h.must(h.store.CancelImport(t.Context(), waiting, operator))
	for what, ways := range traces() {
		if !containsAny(before, ways) {
			t.Errorf("the %s is not in the dump to begin with: this test could not fail", what)
		}
	}
	erased, err := h.office.Erase(context.WithoutCancel(t.Context()), p, operator)
	if err != nil {
		t.Fatal(err)
	}
	if len(erased.Files) != 6 {
		t.Errorf("%d files were redacted, want the 6 that name the person", len(erased.Files))
	}
	after := h.dump()
	for what, ways := range traces() {
		for _, way := range ways {
			for line := range strings.Lines(after) {
				if strings.Contains(line, way) {
					t.Errorf("the %s is still there: %.300s", what, line)
				}
			}
		}
	}
	for _, kept := range []string{erased.Mark, "other@example.com", "new@example.com", "boss@example.com", "import.completed"} {
		if !strings.Contains(after, kept) {
			t.Errorf("%s is gone too", kept)
		}
	}
	if drift, err := h.store.InvitationCountsDrift(t.Context(), first); err != nil || drift != "" {
		t.Errorf("counters of invitations: %v, %v", drift, err)
	}
	lines, err := h.store.Audit(t.Context(), storage.AuditFilter{TargetID: p.UserID, Action: "user.erase", Limit: 10})
	if err != nil || len(lines) != 1 || !bytes.Contains(lines[0].Detail, []byte(erased.Mark)) {
		t.Errorf("the erasure in the audit log: %+v, %v", lines, err)
	}
	if _, err := h.store.DataSubject(t.Context(), p.UserID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the person is still there: %v", err)
	}
}

// TestErasureLeavesOthers: a file keeps the rows of other users, and the
// reports of the import still contain them; only the user's own data is erased.
func TestErasureLeavesOthers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.must(h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", PasswordHash: "x"}))
	var file strings.Builder
	file.WriteString("email,name,department,ask jane.roe@xn--bcher-kva.example\n")
	for i := range 40_000 { // more than one chunk
		fmt.Fprintf(&file, "p%d@example.com,Person %d,Sales,\n", i, i)
		if i == 30_000 {
			file.WriteString("jane.roe@b\u00fccher.example,Jane Roe,Sales,\"1 Road,\nTown\"\nnot-jane.roe@b\u00fccher.example,Other,,\nbroken@,Other Two,,\n")
		}
	}
	id := h.upload(operator, []byte(file.String()), true, roster.Options{})
	for _, set := range []string{
		`UPDATE imports SET filename = 'cv Jane-Roe.csv' WHERE id = $1`,
		`UPDATE imports SET warnings = warnings || '[{"code": "x", "message": "Jane Roe said"}, {"code": "y", "message": "Jane Roebuck said"}]' WHERE id = $1`,
	} {
		_, err := h.store.DB().ExecContext(t.Context(), set, id)
		h.must(err)
	}
	p, err := h.store.DataSubjectByKey(t.Context(), "jane.roe@xn--bcher-kva.example")
	h.must(err)
	erased, err := h.office.Erase(t.Context(), p, operator)
	h.must(err)
	if len(erased.Files) != 1 || erased.Files[0] != id {
		t.Errorf("redacted %v, want %s", erased.Files, id)
	}
	after, err := io.ReadAll(h.store.OpenUpload(t.Context(), id, 0))
	h.must(err)
	want := strings.NewReplacer("jane.roe@b\u00fccher.example,Jane Roe,Sales,\"1 Road,\nTown\"\nnot-", "************************,**** ***,*****,\"* ****,\n****\"\nnot-",
		"ask jane.roe@xn--bcher-kva.example", "ask ******************************").Replace(file.String())
	if diff := cmp.Diff(want, string(after)); diff != "" {
		t.Error(diff)
	}
	i, err := h.store.Import(t.Context(), id)
	h.must(err)
	told, _ := json.Marshal(i)
	if i.Filename != "(deleted)" || i.Purged() || strings.Contains(strings.ToLower(string(told)), "jane") != strings.Contains(string(told), "Jane Roebuck") || strings.Contains(string(told), "Jane Roe said") || !strings.Contains(string(told), "Roebuck") {
		t.Errorf("the import: %s", told)
	}
	var failed, results bytes.Buffer
	h.must(report.New(h.store).WriteErrors(t.Context(), &failed, id))
	h.must(report.New(h.store).WriteResults(t.Context(), &results, id))
	if !strings.Contains(failed.String(), "broken@") || strings.Count(results.String(), "\n") != 40_004 || strings.Contains(strings.ToLower(failed.String()+results.String()), ",jane") {
		t.Errorf("reports of %d and %d bytes\n%s", failed.Len(), results.Len(), failed.String())
	}
}

func containsAny(text string, ways []string) bool {
	for _, way := range ways {
		if strings.Contains(text, way) {
			return true
		}
	}
	return false
}

func TestReport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	p, _ := h.live()
	other, err := h.store.DataSubjectByKey(t.Context(), "other@example.com")
	h.must(err)
	me := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: p.UserID, Label: p.Email}, Address: network}
	_, err = h.store.ChangeUser(t.Context(), other.UserID, storage.UserChange{Name: new("Renamed Someone"), Department: new("Their Desk"), Attributes: map[string]string{"phone": "Their Phone"}, Role: new(roster.RoleAdmin)}, me)
	h.must(err)
	r, err := h.office.Report(t.Context(), p, operator)
	if err != nil {
		t.Fatal(err)
	}
	if r.User.Email != email || r.User.Name != name || !r.User.HasPassword || r.User.Department != "Q" || !strings.Contains(string(r.User.Attributes), phone) {
		t.Errorf("account: %+v", r.User)
	}
	if len(r.Sessions) != 1 || len(r.Imports) != 1 || len(r.FailedRows) < 3 || len(r.Files) != 6 || r.ResetAt == nil {
		t.Errorf("%d sessions, %d imports, %d refused rows, %d files, reset asked %v", len(r.Sessions), len(r.Imports), len(r.FailedRows), len(r.Files), r.ResetAt)
	}
	if r.Factor == nil || time.Since(*r.Factor) > time.Hour {
		t.Errorf("second factor since %v", r.Factor)
	}
	if len(r.Did) < 5 || r.Did[0].Address != network || len(r.Underwent) != 4 || r.Underwent[0].Action != "user.change" || r.Underwent[0].Address != "" {
		t.Errorf("did %d, underwent %+v", len(r.Did), r.Underwent)
	}
	if len(r.Keys) != 1 || r.Keys[0].ExternalID != externalID || len(r.Updates) != 1 || len(r.Missing) != 1 || len(r.Waiting) != 2 || len(r.Notices) < 2 {
		t.Errorf("keys %v, updates %v, missing from %v, waiting %v, notices %v", r.Keys, r.Updates, r.Missing, r.Waiting, r.Notices)
	}
	if s := r.Sessions[0]; s.Address != network || s.Browser != "Firefox on Linux" {
		t.Errorf("session: %+v", s)
	}
	if before := string(r.Underwent[0].Detail); !strings.Contains(before, "Dr Zenobia") {
		t.Errorf("the change of the own name: %s", before)
	}
	for _, entry := range r.Did {
		if did := string(entry.Detail); strings.Contains(did, "Someone") || strings.Contains(did, "Desk") || strings.Contains(did, "Phone") || entry.Action == "user.change" && !strings.Contains(did, `"admin"`) {
			t.Errorf("what was done to another user: %s", did)
		}
	}
	out, err := json.Marshal(r)
	if err != nil || bytes.Contains(out, []byte("hash")) || bytes.Contains(out, []byte(sealedFactor)) {
		t.Errorf("a hash is in the report, or none can be made: %v", err)
	}
}
