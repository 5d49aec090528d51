//go:build unix

package chaos_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestDiskFull: the disk under PostgreSQL is full while files are posted and
// rows are imported. Posts are rejected cleanly, and when there is room again
// everything continues by itself.
func TestDiskFull(t *testing.T) {
	parallel(t)
	length := time.Duration(sized(15, 60)) * time.Second
	h := newTestEnv(t, envOptions{})
	l := newLoad("diskpost", sized(4, 100), 400).after(newLoad("disk", 1, sized(10_000, 100_000)))
	calm := undisturbed(h, l)

	disk := h.smallDisk()
	h.startAPI()
	ids := []string{l.uploadOne(h, 0)}
	disk.fill()
	worker := h.startWorker()
	p := &uploader{h: h, files: l.files[1:]}
	var posting sync.WaitGroup
	posting.Go(func() { p.post(2) })
	time.Sleep(length)
	during := h.read(ids[0])
	if ended(during) || p.refused.Load() == 0 {
		t.Errorf("the disk was not full: %+v, %d posts refused", during, p.refused.Load())
	}
	disk.free()
	back := time.Now()
	posting.Wait()
	posted := time.Since(back)
	ids = append(ids, p.ids...)
	h.rowsIn(ids, 2*time.Minute)
	h.lapse(l)
	got := h.outcome(l, ids)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	if worker.ProcessState != nil {
		t.Error("the worker has ended")
	}
	h.figures("the disk", disk.kind, "full for", length, "rows in when it was full", during.Imported, "posts answered 503", p.refused.Load(),
		"slowest answer", p.slowest, "all posts taken after there was room", posted, "all done after", time.Since(back),
		"mails", d.Mails, "duplicates", d.Duplicates)
}

// smallDisk is a disk that can be filled.
type smallDisk struct {
	kind       string
	fill, free func()
}

// smallDisk puts the database on a small file system of its own, if we may
// mount one. Otherwise a trigger makes PostgreSQL fail every insertion with the
// error code of a full disk.
func (h *testEnv) smallDisk() smallDisk {
	h.Helper()
	dir := filepath.Join(h.postgres.config.Dir, "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.Fatal(err)
	}
	if !mountSmall(h.T, dir, 96<<20) {
		return h.pretendedDisk()
	}
	h.chownLike(dir, filepath.Join(h.postgres.config.Dir, "postgres"))
	h.db.Close()
	admin, err := url.Parse(h.postgres.running.URL())
	if err != nil {
		h.Fatal(err)
	}
	admin.Path = "/postgres"
	db, err := sql.Open("postgres", admin.String())
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLESPACE small LOCATION '` + dir + `'`,
		`ALTER DATABASE rollcall SET TABLESPACE small`,
	} {
		if _, err := db.Exec(statement); err != nil {
			h.Fatal(err)
		}
	}
	h.connect()
	ballast := filepath.Join(dir, "ballast")
	return smallDisk{
		kind: "a tmpfs of 96 MiB",
		fill: func() {
			f, err := os.Create(ballast)
			if err != nil {
				h.Fatal(err)
			}
			defer f.Close()
			for zeros := make([]byte, 64<<10); err == nil; {
				_, err = f.Write(zeros) // until the disk is full
			}
		},
		free: func() {
			if err := os.Remove(ballast); err != nil {
				h.Fatal(err)
			}
		},
	}
}

func (h *testEnv) pretendedDisk() smallDisk {
	h.exec(`
		CREATE TABLE disk (is_full boolean);
		INSERT INTO disk VALUES (false);
		CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF (SELECT is_full FROM disk) THEN
				RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
			END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER no_room BEFORE INSERT ON import_chunks FOR EACH STATEMENT EXECUTE FUNCTION no_room();
		CREATE TRIGGER no_room BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION no_room()`)
	return smallDisk{
		kind: "pretended: disk_full from a trigger, for want of the right to mount",
		fill: func() { h.exec(`UPDATE disk SET is_full = true`) },
		free: func() { h.exec(`UPDATE disk SET is_full = false`) },
	}
}
