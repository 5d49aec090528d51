package storage_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// noise is data that no encoding on the way may touch: every byte value.
func noise(n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(data)
	return data
}

func TestUploadComesBackByteForByte(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const c = storage.ChunkSize
	for _, size := range []int{0, 1, c - 1, c, c + 1, 2*c + 12345} {
		data := noise(size)
		received, err := h.ReceiveImport(h.ctx, upload(data, "", roster.Options{}))
		h.must(err)
		i := received.Import
		if !received.Created || received.Dispatch != 1 || i.Size != int64(size) || i.SHA256 != sha256.Sum256(data) {
			t.Errorf("%d bytes: %+v", size, received)
		}
		if got := one[int](h, `SELECT count(*) FROM import_chunks WHERE import_id = $1`, i.ID); got != (size+c-1)/c {
			t.Errorf("%d bytes in %d chunks", size, got)
		}
		for _, offset := range []int{0, 1, size / 2, c - 1, c, c + 1, size - 1, size, size + 1, size + 3*c} {
			if offset < 0 {
				continue
			}
			got, err := io.ReadAll(h.OpenUpload(h.ctx, i.ID, int64(offset)))
			h.must(err)
			if !bytes.Equal(got, data[min(offset, size):]) {
				t.Errorf("%d bytes from %d on: %d bytes, not those", size, offset, len(got))
			}
		}
	}
	data := noise(4096)
	received, err := h.ReceiveImport(h.ctx, upload(data, "", roster.Options{}))
	h.must(err)
	h.must(iotest.TestReader(h.OpenUpload(h.ctx, received.Import.ID, 0), data))
}

func TestReceivedImportIsWhatWasAsked(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	o := roster.Options{DryRun: true, OnDuplicate: roster.UpdateDuplicates, SendInvitations: true, Encoding: "utf-16", Delimiter: ";",
		Mapping: map[string]string{"email": `the "mail"`}, WebhookURL: ""}
	u := upload([]byte("x"), "", o)
	u.By.Actor = roster.Actor{Kind: roster.ActorToken, ID: uuid.New(), Label: "hr"}
	received, err := h.ReceiveImport(h.ctx, u)
	h.must(err)
	i := h.read(received.Import.ID)
	if diff := cmp.Diff(received.Import, i); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(o, i.Options); diff != "" {
		t.Error(diff)
	}
	if i.Status != roster.Queued || i.CreatedBy != u.By.Actor || i.Filename != "people.csv" || i.Total != nil || i.CreatedAt.IsZero() {
		t.Errorf("%+v", i)
	}
	h.audited("import.create", i.ID, 1)
	if got := one[string](h, `SELECT host(address::inet) || ' ' || actor_kind || ' ' || actor FROM audit_log`); got != "192.0.2.7 token hr" {
		t.Errorf("the log tells of %s", got)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	data := noise(storage.ChunkSize + 5)
	first, err := h.ReceiveImport(h.ctx, upload(data, "k", roster.Options{}))
	h.must(err)
	again, err := h.ReceiveImport(h.ctx, upload(data, "k", roster.Options{}))
	h.must(err)
	if again.Created || again.Dispatch != 0 || again.Import.ID != first.Import.ID {
		t.Errorf("again: %+v", again)
	}
	if _, err := h.ReceiveImport(h.ctx, upload(data[1:], "k", roster.Options{})); !errors.Is(err, storage.ErrKeyReused) {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := h.ReceiveImport(h.ctx, upload(data, "k", roster.Options{DryRun: true})); !errors.Is(err, storage.ErrKeyReused) {
		t.Errorf("other options: %v", err)
	}
	other := upload(data, "k", roster.Options{})
	other.By.Actor = roster.Actor{Kind: roster.ActorToken, ID: uuid.New()}
	for name, u := range map[string]storage.Upload{"another key": upload(data, "l", roster.Options{}), "another caller": other, "no key": upload(data, "", roster.Options{})} {
		if r, err := h.ReceiveImport(h.ctx, u); err != nil || !r.Created || r.Import.ID == first.Import.ID {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if got := one[int](h, `SELECT count(*) FROM import_chunks`); got != 4*2 {
		t.Errorf("%d chunks of 4 imports", got)
	}
	h.audited("import.create", uuid.Nil, 4)
}

func TestIdempotencyKeyStillArriving(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	half, goOn := make(chan struct{}), make(chan struct{})
	data := noise(storage.ChunkSize + 10) // a smaller one is there before it is received
	u := upload(data, "k", roster.Options{})
	next, calls := u.Next, 0
	u.Next = func() ([]byte, error) {
		if calls++; calls == 2 {
			close(half)
			<-goOn
		}
		return next()
	}
	done := make(chan error)
	go func() { _, err := h.ReceiveImport(h.ctx, u); done <- err }()
	<-half
	for _, other := range [][]byte{data, noise(10)} {
		if _, err := h.ReceiveImport(h.ctx, upload(other, "k", roster.Options{})); !errors.Is(err, storage.ErrKeyArriving) {
			t.Errorf("%d bytes while the first arrives: %v", len(other), err)
		}
	}
	if n := one[int](h, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`); n != 0 {
		t.Errorf("%d transactions are open while a client takes its time", n)
	}
	close(goOn)
	h.must(<-done)
	if r, err := h.ReceiveImport(h.ctx, upload(data, "k", roster.Options{})); err != nil || r.Created {
		t.Errorf("after the first: %+v, %v", r, err)
	}
	outcomes := parallel(20, func(int) error {
		_, err := h.ReceiveImport(h.ctx, upload(noise(10), "l", roster.Options{}))
		if errors.Is(err, storage.ErrKeyArriving) {
			return storage.ErrKeyArriving
		}
		return err
	})
	if got := one[int](h, `SELECT count(*) FROM imports`); got != 2 || outcomes["<nil>"] == 0 || outcomes["<nil>"]+outcomes[storage.ErrKeyArriving.Error()] != 20 {
		t.Errorf("%d imports, outcomes %v", got, outcomes)
	}
}

// TestFailingBodyLeavesNothing: and is not taken for a failing database.
func TestFailingBodyLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	chunks := file(noise(storage.ChunkSize))
	cut := upload(nil, "k", roster.Options{})
	cut.Next = func() ([]byte, error) {
		if chunk, err := chunks(); err == nil {
			return chunk, nil
		}
		return nil, io.ErrUnexpectedEOF // as of a line that broke
	}
	refused := errors.New("no such option")
	bad := upload(noise(10), "k", roster.Options{})
	bad.Finish = func() (string, roster.Options, error) { return "", roster.Options{}, refused }
	for name, c := range map[string]struct {
		upload storage.Upload
		want   error
	}{"cut off": {cut, io.ErrUnexpectedEOF}, "refused": {bad, refused}} {
		if _, err := h.ReceiveImport(h.ctx, c.upload); !errors.Is(err, c.want) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, table := range []string{"imports", "import_chunks", "import_uploads", "upload_budgets", "idempotency_keys", "audit_log"} {
		if got := one[int](h, `SELECT count(*) FROM `+table); got != 0 {
			t.Errorf("%d rows in %s", got, table)
		}
	}
	if r, err := h.ReceiveImport(h.ctx, upload(noise(10), "k", roster.Options{})); err != nil || !r.Created {
		t.Errorf("the key is not free again: %+v, %v", r, err)
	}
}

// TestUploadOfADeadProcess: its chunks are removed and its key is free again, and
// an upload that lives is left alone.
func TestUploadOfADeadProcess(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	half, goOn := make(chan struct{}), make(chan struct{})
	receive := func(key string) <-chan error {
		u := upload(noise(2*storage.ChunkSize), key, roster.Options{})
		next, calls := u.Next, 0
		u.Next = func() ([]byte, error) {
			if calls++; calls == 3 {
				half <- struct{}{}
				<-goOn
			}
			return next()
		}
		done := make(chan error, 1)
		go func() { _, err := h.ReceiveImport(h.ctx, u); done <- err }()
		<-half
		return done
	}
	alive, dead := receive("alive"), receive("dead")
	h.exec(`UPDATE import_uploads SET alive_at = now() - interval '1 minute' WHERE key = 'dead'`)
	if r, err := h.ReceiveImport(h.ctx, upload(noise(10), "dead", roster.Options{})); err != nil || !r.Created {
		t.Errorf("the key of a dead upload: %+v, %v", r, err)
	}
	if done, err := h.PurgeUpload(h.ctx); err != nil || !done {
		t.Errorf("a minute after its end: %v, %v", done, err)
	}
	h.exec(`UPDATE import_uploads SET alive_at = now() - interval '1 hour' WHERE key IS NULL`)
	for done := false; !done; {
		var err error
		done, err = h.PurgeUpload(h.ctx)
		h.must(err)
	}
	if n := one[int](h, `SELECT count(*) FROM import_chunks c WHERE NOT EXISTS (SELECT FROM imports i WHERE i.id = c.import_id)`); n != 2 {
		t.Errorf("%d chunks are left, want the 2 of the upload that lives", n)
	}
	close(goOn)
	if err := <-dead; !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("an upload taken for dead goes on: %v", err)
	}
	h.must(<-alive)
	if n := one[int](h, `SELECT count(*) FROM import_uploads`); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestUploadBudget(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	store := func(size int, who roster.Actor) error {
		u := upload(noise(size), "", roster.Options{})
		u.DailyBytes = 3 * storage.ChunkSize
		u.By.Actor = who
		_, err := h.ReceiveImport(h.ctx, u)
		return err
	}
	who := roster.Actor{Kind: roster.ActorToken, ID: uuid.New()}
	other := roster.Actor{Kind: roster.ActorToken, ID: uuid.New()}
	for n, c := range []struct {
		size int
		who  roster.Actor
		want error
	}{
		{4 * storage.ChunkSize, who, storage.ErrBudget}, {2 * storage.ChunkSize, who, nil}, {storage.ChunkSize + 1, who, storage.ErrBudget},
		{storage.ChunkSize, who, nil}, {1, who, storage.ErrBudget}, {0, who, nil}, {1, other, nil},
	} {
		if err := store(c.size, c.who); !errors.Is(err, c.want) {
			t.Errorf("upload %d: %v, want %v", n, err, c.want)
		}
	}
	if b, err := h.UploadBudget(h.ctx, other, 3*storage.ChunkSize); err != nil || b.Left != 3*storage.ChunkSize-1 || b.Reset <= 0 || b.Reset > 24*time.Hour {
		t.Errorf("%+v, %v", b, err)
	}
	if n := one[int](h, `SELECT count(*) FROM import_chunks`); n != 4 {
		t.Errorf("%d chunks, those of refused files included", n)
	}
	h.exec(`UPDATE upload_budgets SET day = day - 1`)
	h.must(store(1, who))
	h.exec(`UPDATE upload_budgets SET day = day - 1`)
	h.must(h.PurgeUploadBudgets(h.ctx))
	if n := one[int](h, `SELECT count(*) FROM upload_budgets`); n != 1 {
		t.Errorf("%d days are counted", n)
	}
}

func TestUploadThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	if _, err := io.ReadAll(h.OpenUpload(h.ctx, uuid.New(), 0)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no such import: %v", err)
	}
	i := h.receive(roster.Options{})
	h.exec(`DELETE FROM import_chunks`)
	if _, err := io.ReadAll(h.OpenUpload(h.ctx, i.ID, 0)); err == nil || errors.Is(err, storage.ErrPurged) {
		t.Errorf("a chunk is lost: %v", err)
	}
	h.must(h.CancelImport(h.ctx, i.ID, by))
	if _, err := io.ReadAll(h.OpenUpload(h.ctx, i.ID, 0)); !errors.Is(err, storage.ErrPurged) {
		t.Errorf("being purged: %v", err)
	}
}
