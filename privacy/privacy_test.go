package privacy_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/auth"
	"rollcall/devstack"
	"rollcall/internal/pgtest"
	"rollcall/jobs"
	"rollcall/privacy"
	"rollcall/roster"
	"rollcall/storage"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The person, in spellings that stand nowhere else.
const (
	email    = "Zenobia.O'Quill@quill.example"
	emailKey = "zenobia.o'quill@quill.example"
	name     = "Zenobia \"Zee\" O'Quill & Daughter"
	network  = "192.0.2.123" // from where the person came
)

var operator = storage.Entry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

type house struct {
	*testing.T
	url    string
	store  *storage.Store
	office *privacy.Office
	signer *auth.Signer
}

func newHouse(t *testing.T) *house {
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
	return &house{t, url, store, privacy.New(store, signer), signer}
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// upload stores a file; work, if it is to be worked on to its end.
func (h *house) upload(by storage.Entry, file []byte, work bool, o roster.Options) uuid.UUID {
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
	im := jobs.NewImporter(h.store, slog.New(slog.DiscardHandler), jobs.NewMetrics(prometheus.NewRegistry()), jobs.ImporterConfig{})
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
func (h *house) dump() string {
	h.Helper()
	out, err := exec.CommandContext(h.Context(), h.pgDump(), "--data-only", "--inserts", pgtest.Owner(h, h.url)).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		h.Fatalf("pg_dump: %s", failed.Stderr)
	}
	h.must(err)
	return strings.ToLower(string(out))
}

// pgDump finds the program beside the server's, wherever a link to that leads.
func (h *house) pgDump() string {
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

// traces are the ways in which the person can stand in a dump: as text, as text
// within SQL or JSON, and as bytes.
func traces() map[string][]string {
	inJSON, _ := json.Marshal(name)
	ways := map[string][]string{
		"address":         {strings.ReplaceAll(emailKey, "'", "''"), hex.EncodeToString([]byte(emailKey)), hex.EncodeToString([]byte(email))},
		"address, UTF-16": {hex.EncodeToString(utf16le(email)[2:])},
		"name":            {strings.ReplaceAll(strings.ToLower(name), "'", "''"), hex.EncodeToString([]byte(name)), hex.EncodeToString(inJSON)},
		"surname":         {"o''quill", hex.EncodeToString([]byte("O'Quill"))},
		"network":         {network},
		"second factor":   {sealedFactor},
		"recovery code":   {"public.recovery_codes values"},
	}
	return ways
}

// live makes the person leave traces wherever one can.
func (h *house) live() (p storage.Person, first uuid.UUID) {
	h.Helper()
	ctx := h.Context()
	csv := "email,name,role,department\nother@example.com,Other,user,X\n" + email + `,"` + strings.ReplaceAll(name, `"`, `""`) + `",admin,Y` + "\n"
	first = h.upload(operator, []byte(csv), true, roster.Options{SendInvitations: true})
	p, err := h.store.PersonByKey(ctx, emailKey)
	h.must(err)
	_, err = h.store.DB().ExecContext(ctx, `UPDATE invitations SET expires_at = now() + interval '1 hour' WHERE user_id = $1`, p.UserID)
	h.must(err)
	h.must(h.store.AcceptInvitation(ctx, p.UserID, 1, "hash", network))
	me := storage.Entry{Actor: roster.Actor{Kind: roster.ActorUser, ID: p.UserID, Label: p.Email}, Address: network}
	_, hash := auth.NewSession()
	h.must(h.store.CreateSession(ctx, storage.SignIn{UserID: p.UserID, PasswordHash: "hash", Session: hash, Browser: "Firefox on Linux", Life: time.Hour}, me))
	h.factor(p.UserID, hash, me)
	h.must(h.store.AskReset(ctx, emailKey, time.Minute))
	_, err = h.store.CreateToken(ctx, "hr", [32]byte{1}, []string{"admin"}, 0, me)
	h.must(err)
	h.must(h.store.SetEmailSettings(ctx, storage.EmailSettings{Host: "mx.example.com", Port: 25, Security: "none", From: "a@example.com"}, me))
	_, err = h.store.CreateWebhook(ctx, "https://hooks.example.com/", sealed, me)
	h.must(err)
	h.upload(me, []byte("email,name\nnew@example.com,New\n"), true, roster.Options{WebhookURL: "https://hooks.example.com/"})
	// Refused, in every way that keeps values: a duplicate, a role, a second
	// problem, the address in another column, and a file that is none.
	h.upload(operator, []byte(csv+email+","+strings.Repeat("x", 300)+",chief,Z\nbroken@,"+email+",user,\nx@example.com,"+strings.Repeat("y", 201)+" "+email+",user,\n"), true, roster.Options{})
	h.upload(operator, utf16le(csv), true, roster.Options{Encoding: "utf-16le"})
	h.upload(operator, []byte("no header of ours\n"+strings.ToUpper(email)+"\n"), true, roster.Options{})
	_, err = h.store.ChangeUser(ctx, p.UserID, storage.UserChange{Department: new("Q")}, operator)
	h.must(err)
	for _, called := range []string{"Dr " + name, name} { // both stay in the audit log
		_, err = h.store.ChangeUser(ctx, p.UserID, storage.UserChange{Name: &called}, operator)
		h.must(err)
	}
	return p, first
}

// sealedFactor stands for the secret of the person's second factor.
const sealedFactor = "v1.sealed-second-factor"

// factor sets a second factor up in the session given.
func (h *house) factor(user uuid.UUID, session [32]byte, by storage.Entry) {
	h.Helper()
	h.must(h.store.BeginSecondFactor(h.Context(), user, sealedFactor))
	f, err := h.store.SecondFactorOf(h.Context(), user)
	h.must(err)
	_, hashes := auth.NewRecoveryCodes()
	h.must(h.store.ConfirmSecondFactor(h.Context(), storage.FactorChange{
		UserID: user, Proof: storage.Proof{Factor: f.ID, Step: 1}, Codes: hashes, Current: session, Renewed: session,
	}, by))
}

// TestErasedPersonIsNotInTheDump looks for the person in everything that
// PostgreSQL keeps, before and after.
func TestErasedPersonIsNotInTheDump(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, first := h.live()
	if err := h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", PasswordHash: "x"}); err != nil {
		t.Fatal(err)
	}
	before := h.dump()
	for what, ways := range traces() {
		if !containsAny(before, ways) {
			t.Errorf("the %s is not in the dump to begin with: this test could not fail", what)
		}
	}
	erased, err := h.office.Erase(context.WithoutCancel(t.Context()), p, operator)
	if err != nil {
		t.Fatal(err)
	}
	if len(erased.Files) != 4 {
		t.Errorf("%d files were removed, want the 4 that name the person", len(erased.Files))
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
	if _, err := h.store.Person(t.Context(), p.UserID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the person is still there: %v", err)
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
	h := newHouse(t)
	p, _ := h.live()
	other, err := h.store.PersonByKey(t.Context(), "other@example.com")
	h.must(err)
	me := storage.Entry{Actor: roster.Actor{Kind: roster.ActorUser, ID: p.UserID, Label: p.Email}, Address: network}
	_, err = h.store.ChangeUser(t.Context(), other.UserID, storage.UserChange{Name: new("Renamed Someone"), Department: new("Their Desk"), Role: new(roster.RoleAdmin)}, me)
	h.must(err)
	r, err := h.office.Report(t.Context(), p, operator)
	if err != nil {
		t.Fatal(err)
	}
	if r.User.Email != email || r.User.Name != name || !r.User.HasPassword || r.User.Department != "Q" {
		t.Errorf("account: %+v", r.User)
	}
	if len(r.Sessions) != 1 || len(r.Imports) != 1 || len(r.Refused) < 3 || len(r.Files) != 4 || r.ResetAt == nil {
		t.Errorf("%d sessions, %d imports, %d refused rows, %d files, reset asked %v", len(r.Sessions), len(r.Imports), len(r.Refused), len(r.Files), r.ResetAt)
	}
	if r.Factor == nil || time.Since(*r.Factor) > time.Hour {
		t.Errorf("second factor since %v", r.Factor)
	}
	if len(r.Did) < 5 || r.Did[0].Address != network || len(r.Underwent) != 3 || r.Underwent[0].Action != "user.change" || r.Underwent[0].Address != "" {
		t.Errorf("did %d, underwent %+v", len(r.Did), r.Underwent)
	}
	if s := r.Sessions[0]; s.Address != network || s.Browser != "Firefox on Linux" {
		t.Errorf("session: %+v", s)
	}
	if before := string(r.Underwent[0].Detail); !strings.Contains(before, "Dr Zenobia") {
		t.Errorf("the change of the own name: %s", before)
	}
	for _, entry := range r.Did {
		if did := string(entry.Detail); strings.Contains(did, "Someone") || strings.Contains(did, "Desk") || entry.Action == "user.change" && !strings.Contains(did, `"admin"`) {
			t.Errorf("what was done to somebody else: %s", did)
		}
	}
	out, err := json.Marshal(r)
	if err != nil || bytes.Contains(out, []byte("hash")) || bytes.Contains(out, []byte(sealedFactor)) {
		t.Errorf("a hash is in the report, or none can be made: %v", err)
	}
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must(h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: email, EmailKey: emailKey, Name: name, PasswordHash: "x"}))
	p, err := h.store.PersonByKey(t.Context(), emailKey)
	h.must(err)
	if _, err := h.office.Erase(t.Context(), p, operator); !errors.Is(err, storage.ErrLastAdmin) {
		t.Errorf("the last administrator: %v", err)
	}
	kept := h.upload(operator, []byte("email,name\n"+email+",Z\n"), true, roster.Options{})
	busy := h.upload(operator, []byte("email,name\n"+email+",Z\n"), false, roster.Options{})
	_, err = h.office.Erase(t.Context(), p, operator)
	if why, ok := errors.AsType[*privacy.BusyError](err); !ok || why.ImportID != busy {
		t.Errorf("an import under way: %v", err)
	}
	if i, err := h.store.Import(t.Context(), kept); err != nil || i.PurgedAt != nil {
		t.Errorf("a file is gone though the erasure was refused: %v", err)
	}
}
