package jobs

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// turnPatience is how long a batch waits for its turn before it lets go of its
// rows: much longer than a batch takes, and not so long that two imports of the
// same addresses are held up for long by a wait in a circle.
const turnPatience = 500 * time.Millisecond

// apply runs the import pass: batches of rows, one transaction each, some of
// them at once unless other imports are being worked on, too. Meanwhile the next
// is being read. After a crash at this place all of that is done one by one, so
// that it is clear which batch was at fault.
func (w *work) apply(ctx context.Context) error {
	inAir := &flights{work: w, most: w.cfg.Writers, patience: turnPatience}
	if w.claim.Others > 0 { // each import its one writer: more are too many for everybody
		inAir.most = 1
	}
	batches := ahead(ctx, w.panicked, w.batches)
	if w.claim.Crashes > 0 {
		inAir.most, batches = 1, w.batches(ctx)
	}
	defer inAir.wait() // nothing of this run goes on after it
	for batch, err := range batches {
		if err != nil {
			if _, err := w.land(inAir, 0); err != nil {
				return err // of an earlier batch
			}
			return err
		}
		inAir.launch(ctx, batch)
		most := inAir.most - 1
		if batch.Last || w.over(ctx) {
			most = 0
		}
		if ended, err := w.land(inAir, most); err != nil || ended {
			return err
		}
		if w.over(ctx) {
			break
		}
	}
	if ended, err := w.land(inAir, 0); err != nil || ended {
		return err
	}
	return errSlice
}

// land waits until no more than most batches are on their way. It reports
// whether the last one of the file is committed.
func (w *work) land(inAir *flights, most int) (ended bool, err error) {
	for len(inAir.air) > most {
		f, err := inAir.land()
		if err != nil {
			return false, err
		}
		w.invited = w.invited || f.applied.Invited
		w.meter.batch("import", f.began, map[string]int64{
			"imported": f.applied.Imported, "updated": f.applied.Updated, "failed": f.applied.Failed})
		ended = f.batch.Last
	}
	return ended, nil
}

func (w *work) applyBatch(ctx context.Context, b storage.Batch) (a storage.Applied, err error) {
	ctx, span := w.batchSpan(ctx, "apply batch", b.To.Row, b.Rows)
	defer func() { endSpan(span, err) }()
	ctx, cancel := w.committing(ctx)
	defer cancel()
	return w.store.ApplyBatch(ctx, w.claim, b)
}

// batches reads batch after batch until the end of the file, an error or the end
// of ctx.
func (w *work) batches(ctx context.Context) iter.Seq2[storage.Batch, error] {
	return func(yield func(storage.Batch, error) bool) {
		b, err := w.beginApply(ctx)
		if err != nil {
			yield(storage.Batch{}, err)
			return
		}
		for ctx.Err() == nil {
			batch, err := b.next(ctx)
			if err != nil && ctx.Err() != nil {
				return
			}
			if !yield(batch, err) || err != nil || batch.Last {
				return
			}
			b.care.committed()
		}
	}
}

// batcher cuts the rows of a file into batches, leaving out those refused in
// the check.
type batcher struct {
	*work
	sheet   *intake.Sheet
	refused refusedRows
	care    caution
	suspect bool // the next row is refused unread: it has crashed too often
}

// beginApply opens the file at the cursor.
func (w *work) beginApply(ctx context.Context) (*batcher, error) {
	b := &batcher{
		work:    w,
		refused: refusedRows{store: w.store, id: w.claim.Import.ID, after: w.claim.At.Row - 1},
		care:    caution{most: w.cfg.BatchRows, crashes: w.claim.Crashes},
		suspect: w.claim.Crashes >= crashesBeforeRefusal,
	}
	var err error
	at, options, layout := w.claim.At, w.claim.Import.Options, w.claim.Layout
	upload := w.store.OpenUpload(ctx, w.claim.Import.ID, at.Offset)
	if at == (tabular.Position{}) {
		options.Encoding, options.Delimiter = layout.Format.Encoding, layout.Format.Delimiter
		b.sheet, err = intake.Open(upload, options)
	} else {
		b.sheet, err = intake.Resume(upload, layout.Format, layout.Header, options.Mapping, at)
	}
	if err != nil {
		return nil, fmt.Errorf("open file at row %d: %w", at.Row, err)
	}
	return b, nil
}

func (b *batcher) next(ctx context.Context) (batch storage.Batch, err error) {
	most := b.care.rows()
	batch.Newcomers = make([]storage.Newcomer, 0, most)
	batch.Crashes = b.care.after()
	batch.AdminScopes = b.cfg.AdminScopes
	batch.SetDepartment = b.sheet.Has(roster.ColumnDepartment)
	for batch.Rows < int64(most) {
		row, err := b.sheet.Next()
		if err == io.EOF {
			batch.Last, batch.Crashes = true, 0
			return batch, nil
		}
		if err != nil {
			return batch, err
		}
		refused, err := b.refused.has(ctx, row.Row)
		if err != nil {
			return batch, err
		}
		batch.Rows++
		batch.To = row.End
		switch {
		case refused: // counted and reported by the check
		case b.suspect:
			row.Problems = []roster.Problem{roster.Unprocessable(row.Person.Email)}
			batch.Refusals = append(batch.Refusals, row.Refusal())
		case len(row.Problems) > 0: // the rules changed since the check: say so rather than guess
			batch.Refusals = append(batch.Refusals, row.Refusal())
		default:
			b.fault(roster.Importing, row.Row)
			id, err := uuid.NewV7()
			if err != nil {
				return batch, err
			}
			batch.Newcomers = append(batch.Newcomers, storage.Newcomer{ID: id, Row: row.Row, Line: row.Line, Person: row.Person})
		}
		b.suspect = false
	}
	return batch, nil
}

// refusedRows walks through the numbers of the rows refused in the check, in
// step with the rows of the file.
type refusedRows struct {
	store *storage.Store
	id    uuid.UUID
	after int64 // the last row fetched
	page  []int64
	ended bool
}

// refusedPage is how many row numbers are fetched at once.
const refusedPage = 10_000

// has reports whether row was refused. Rows must be asked for in rising order.
func (r *refusedRows) has(ctx context.Context, row int64) (bool, error) {
	for {
		for len(r.page) > 0 && r.page[0] < row {
			r.page = r.page[1:]
		}
		if len(r.page) > 0 {
			return r.page[0] == row, nil
		}
		if r.ended {
			return false, nil
		}
		page, err := r.store.RefusedRows(ctx, r.id, max(r.after, row-1), refusedPage)
		if err != nil {
			return false, err
		}
		r.ended = len(page) < refusedPage
		r.page = page
		if len(page) > 0 {
			r.after = page[len(page)-1]
		}
	}
}
