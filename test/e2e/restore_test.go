package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/devstack"
	"rollcall/test/pgtest"
)

// postgresTool runs a PostgreSQL program as docs/operations.md says: the one
// that came with the server, because only its links may be in PATH.
func postgresTool(t *testing.T, name string, args ...string) {
	t.Helper()
	found, err := devstack.FindPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server, err := filepath.EvalSymlinks(filepath.Join(found.Dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(server), name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestRestoreGoesOn dumps a database with an import in progress and with
// waiting invitations, restores it into a fresh cluster with an empty Redis,
// and continues, as docs/operations.md says.
func TestRestoreGoesOn(t *testing.T) {
	t.Parallel()
	before := newTestEnv(t, smallRedis(t), "SMTP_URL=") // no mail server: invitations wait
	api := before.startAPI()
	worker := before.startWorker()
	var waiting, big imported
	before.post("email,name\nada@example.com,Ada\nbea@example.com,Bea\nbad,Nobody\n", []string{"Prefer", "wait=20"}).read(&waiting)
	if waiting.Status != "completed" || waiting.Invitations.Pending != 2 {
		t.Fatalf("%+v", waiting)
	}
	const rows = 60_000
	var file strings.Builder
	file.WriteString("email,name\n")
	for n := range rows {
		fmt.Fprintf(&file, "person%d@example.com,Person %d\n", n, n)
	}
	before.post(file.String(), []string{"Prefer", "respond-async"}, "send_invitations", "false").read(&big)
	big = before.until(big.ID, time.Minute, func(i imported) bool { return i.Processed > 0 })
	worker.Kill()
	before.ask("GET", "/api/admin/users/imports/"+big.ID, nil).read(&big)
	if big.Status != "importing" {
		t.Skipf("the worker was faster than the kill: %s", big.Status)
	}
	dump := filepath.Join(t.TempDir(), "rollcall.dump")
	postgresTool(t, "pg_dump", "--format=custom", "--file="+dump, before.variable("DATABASE_URL"))
	api.Stop()

	cluster, err := pgtest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	postgresTool(t, "pg_restore", "--no-owner", "--exit-on-error", "--dbname="+cluster.URL(), dump)
	after := newTestEnv(t, smallRedis(t), "DATABASE_URL="+cluster.URL())
	after.startAPI()
	after.startWorker()
	done := after.until(big.ID, time.Minute, ended)
	if done.Status != "completed" || done.Imported != rows || done.Failed != 0 || done.Invitations.Held != rows {
		t.Errorf("the import that was in the middle, at %d: %+v", big.Processed, done)
	}
	sent := after.until(waiting.ID, time.Minute, mailed)
	if sent.Invitations.Sent != 2 || sent.Failed != 1 {
		t.Errorf("the invitations that waited: %+v", sent)
	}
	mails := 0
	for _, err := range after.mailbox.All() {
		if err != nil {
			t.Fatal(err)
		}
		mails++
	}
	if mails != 2 {
		t.Errorf("%d mails, want 2", mails)
	}
	if report := string(after.ask("GET", "/api/admin/users/imports/"+waiting.ID+"/errors.csv", nil).body); !strings.Contains(report, "invalid_email") {
		t.Errorf("the report of before:\n%s", report)
	}
}
