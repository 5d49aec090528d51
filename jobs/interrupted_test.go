package jobs_test

import (
	"context"
	"fmt"
	"rollcall/jobs/importer"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/storage"
)

// ending is what users can see of a finished import.
type ending struct {
	Status      roster.Status
	Counts      roster.Counts
	Total       int64
	Invitations roster.InvitationCounts
	RowErrors   []roster.RowError
	Users       []string
}

func (h *testEnv) ending(id uuid.UUID) ending {
	h.Helper()
	i := h.read(id)
	e := ending{Status: i.Status, Counts: i.Counts, Invitations: i.Invitations}
	if i.Total != nil {
		e.Total, e.Counts.Total = *i.Total, nil
	}
	var err error
	if e.RowErrors, err = h.store.RowErrors(h.Context(), id, 0, 10_000); err != nil {
		h.Fatal(err)
	}
	users, err := h.store.Users(h.Context(), storage.UserFilter{Limit: 10_000})
	if err != nil {
		h.Fatal(err)
	}
	for _, u := range users {
		e.Users = append(e.Users, fmt.Sprintf("%s|%s|%s|%s|%s", u.Email, u.Name, u.Role, u.Department, u.Status))
	}
	if drift, err := h.store.InvitationCountsDrift(h.Context(), id); err != nil || drift != "" {
		h.Fatal(drift, err)
	}
	return e
}

// lapse makes every lease expire now, as it would some time after a crash.
func (h *testEnv) lapse() {
	h.Helper()
	if _, err := h.store.DB().Exec(`UPDATE imports SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL`); err != nil {
		h.Fatal(err)
	}
}

// drawFile draws rows of which some are invalid, some appear twice and some
// exist already.
func drawFile(r *rapid.T) string {
	row := rapid.Custom(func(r *rapid.T) string {
		email := fmt.Sprintf("p%d@example.com", rapid.IntRange(0, 40).Draw(r, "person"))
		switch rapid.IntRange(0, 9).Draw(r, "kind") {
		case 0:
			return "not-an-address,Somebody,user,Sales"
		case 1:
			return email + ",,user,Sales"
		case 2:
			return email + ",Some Body,king,Sales"
		case 3:
			return email + `,"Some ""Body"" Else",ADMIN,`
		case 4:
			return `"` + email + `",Stray "quote,user,x`
		case 5:
			return ""
		}
		return strings.ToUpper(email) + ",Some Body,,Sales"
	})
	return "email,name,role,department\n" + strings.Join(rapid.SliceOfN(row, 0, 60).Draw(r, "rows"), "\n")
}

// TestInterruptedImportEndsTheSame cuts an import off at any message between it
// and PostgreSQL, before or after PostgreSQL has received it, any number of
// times. It must end exactly like one that was never interrupted.
func TestInterruptedImportEndsTheSame(t *testing.T) {
	t.Parallel()
	peaceful, rough := newTestEnv(t), newTestEnv(t)
	cuts := 0
	rapid.Check(t, func(r *rapid.T) {
		file := drawFile(r)
		options := roster.Options{
			SendInvitations: rapid.Bool().Draw(r, "invite"),
			OnDuplicate:     rapid.SampledFrom([]roster.OnDuplicate{roster.SkipDuplicates, roster.UpdateDuplicates}).Draw(r, "duplicates"),
		}
		for _, h := range []*testEnv{peaceful, rough} { // some users exist before
			h.empty()
			h.run(h.importer(importer.Config{}), h.upload("email,name\np1@example.com,One\np2@example.com,Two\n", roster.Options{}).ID)
		}
		i := peaceful.upload(file, options)
		peaceful.run(peaceful.importer(importer.Config{BatchRows: 7}), i.ID)
		want := peaceful.ending(i.ID)

		i = rough.upload(file, options)
		cuts += rough.runRoughly(t, r, i.ID)
		if diff := cmp.Diff(want, rough.ending(i.ID)); diff != "" {
			r.Fatalf("an interrupted import ended otherwise (-peaceful +interrupted):\n%s", diff)
		}
	})
	if cuts < 5 {
		t.Fatalf("only %d cuts: the test tested little", cuts)
	}
}

func (h *testEnv) runRoughly(t *testing.T, r *rapid.T, id uuid.UUID) (cuts int) {
	cutter := newSeverable(t, h.url)
	defer cutter.Stop()
	store, err := storage.Open(cutter.url, storage.Options{MaxConns: 2})
	if err != nil {
		r.Fatal(err)
	}
	defer store.Close()
	im := importer.New(store, quiet(), h.meter.Importer, importer.Config{BatchRows: 7, Slice: time.Nanosecond, Timeout: 5 * time.Second})
	for try := 0; !h.read(id).Status.Ended(); try++ {
		if try < 12 { // then stop cutting, or it might never end
			cutter.cutAt(rapid.IntRange(1, 25).Draw(r, "cut"), rapid.Bool().Draw(r, "deaf"))
		} else {
			cutter.cutAt(-1, false)
		}
		if _, err := im.Run(context.Background(), id); err != nil && try > 40 {
			r.Fatal(err)
		}
		h.lapse()
	}
	return cutter.severs
}

// TestRowThatPanicsFailsAlone: whatever a row does to the code, the others
// are imported.
func TestRowThatPanicsFailsAlone(t *testing.T) {
	t.Parallel()
	for _, pass := range []roster.Status{roster.Checking, roster.Importing} {
		t.Run(string(pass), func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			i := h.upload(people(300), roster.Options{})
			im := h.importer(importer.Config{BatchRows: 50})
			im.OnRow(func(p roster.Status, row int64) {
				if p == pass && row == 123 {
					panic("at the disco")
				}
			})
			for tries := 0; !h.read(i.ID).Status.Ended(); tries++ {
				if _, err := im.Run(t.Context(), i.ID); err != nil && tries > 100 {
					t.Fatal(err)
				}
				h.lapse()
			}
			e := h.ending(i.ID)
			if e.Status != roster.Completed || e.Counts.Imported != 299 || e.Counts.Failed != 1 {
				t.Fatalf("%+v", e.Counts)
			}
			if len(e.RowErrors) != 1 || e.RowErrors[0].Row != 123 || e.RowErrors[0].Reason() != roster.InternalError {
				t.Fatalf("%+v", e.RowErrors)
			}
		})
	}
}

// TestStaleWorkerWritesNothing: a worker that slept through its lease finds
// that it lost the import and gives up, and that is counted, whether it
// continues with its batch or has to stop and hands back what it no longer
// holds.
func TestStaleWorkerWritesNothing(t *testing.T) {
	t.Parallel()
	for name, wakes := range map[string]func(stop func()){
		"it goes on":     func(func()) {},
		"it has to stop": func(stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); staleWorker(t, wakes) })
	}
}

func staleWorker(t *testing.T, wakes func(stop func())) {
	h := newTestEnv(t)
	i := h.upload(people(20), roster.Options{})
	slow, fast := h.importer(importer.Config{BatchRows: 5}), h.importer(importer.Config{})
	asleep, awake := make(chan struct{}), make(chan struct{})
	slow.OnRow(func(p roster.Status, row int64) {
		if p == roster.Importing && row == 8 {
			close(asleep)
			<-awake
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := slow.Run(ctx, i.ID)
		done <- err
	}()
	<-asleep
	for !h.read(i.ID).Status.Ended() { // a commit in progress may have renewed the lease
		h.lapse()
		h.run(fast, i.ID)
	}
	want := h.ending(i.ID)
	wakes(stop)
	close(awake)
	if err := <-done; err != nil {
		t.Fatalf("the stale worker should give up without an error: %v", err)
	}
	if diff := cmp.Diff(want, h.ending(i.ID)); diff != "" || want.Counts.Imported != 20 {
		t.Fatalf("a stale worker wrote (-before +after):\n%s", diff)
	}
	if lost := counter(t, h.counted, "rollcall_claims_lost_total"); lost != 1 {
		t.Errorf("%v claims counted as lost, want 1", lost)
	}
}

// TestCancelStopsBetweenBatches: imported rows are kept, the rest is
// unprocessed.
func TestCancelStopsBetweenBatches(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.upload(people(100), roster.Options{})
	im := h.importer(importer.Config{BatchRows: 10})
	im.OnRow(func(p roster.Status, row int64) {
		if p == roster.Importing && row == 55 {
			if err := h.store.CancelImport(context.Background(), i.ID, tester); err != nil {
				t.Error(err)
			}
		}
	})
	h.run(im, i.ID)
	e := h.ending(i.ID)
	if e.Status != roster.Canceled || int64(len(e.Users)) != e.Counts.Imported || e.Counts.Imported >= 60 || e.Counts.Imported < 10 {
		t.Fatalf("%s with %d users: %+v", e.Status, len(e.Users), e.Counts)
	}
	if got := h.read(i.ID).Unprocessed(); got != 100-e.Counts.Imported {
		t.Fatalf("unprocessed %d", got)
	}
}
