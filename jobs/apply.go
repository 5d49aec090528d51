package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// apply runs the import pass: batches of rows, one transaction each. While
// PostgreSQL works on one batch the next is being read.
func (w *work) apply(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	batches := make(chan read, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.readBatches(reading, batches)
	}()
	defer func() { stop(); <-done }() // nothing of this run goes on after it
	for {
		r, ok := <-batches
		if !ok {
			return errSlice // told to stop while reading
		}
		if r.err != nil {
			return r.err
		}
		began := time.Now()
		applied, err := w.applyBatch(ctx, r.batch)
		if err != nil {
			return err
		}
		w.invited = w.invited || applied.Invited
		w.meter.batch("import", began, map[string]int64{
			"imported": applied.Imported, "updated": applied.Updated, "failed": applied.Failed})
		if r.batch.Last {
			return nil
		}
		if w.over(ctx) {
			return errSlice
		}
	}
}

func (w *work) applyBatch(ctx context.Context, b storage.Batch) (a storage.Applied, err error) {
	ctx, span := w.batchSpan(ctx, "apply batch", b.Rows)
	defer func() { endSpan(span, err) }()
	ctx, cancel := w.committing(ctx)
	defer cancel()
	return w.store.ApplyBatch(ctx, w.claim, b)
}

// read is a batch read from the file, or why there is none.
type read struct {
	batch storage.Batch
	err   error
}

// readBatches reads batch after batch until the end of the file, an error or
// the end of ctx, and closes out.
func (w *work) readBatches(ctx context.Context, out chan<- read) {
	defer close(out)
	send := func(r read) bool {
		select {
		case out <- r:
			return r.err == nil && !r.batch.Last
		case <-ctx.Done():
			return false
		}
	}
	defer func() {
		if p := recover(); p != nil {
			send(read{err: w.panicked(p)})
		}
	}()
	b, err := w.beginApply(ctx)
	if err != nil {
		send(read{err: err})
		return
	}
	for ctx.Err() == nil {
		batch, err := b.next(ctx)
		if err != nil && ctx.Err() != nil {
			return
		}
		if !send(read{batch, err}) {
			return
		}
		b.size.committed()
	}
}

// batcher cuts the rows of a file into batches, leaving out those refused in
// the check.
type batcher struct {
	*work
	sheet   *intake.Sheet
	refused refusedRows
	size    batchSize
	suspect bool // the next row is refused unread: it has crashed too often
}

// beginApply opens the file at the cursor.
func (w *work) beginApply(ctx context.Context) (*batcher, error) {
	b := &batcher{
		work:    w,
		refused: refusedRows{store: w.store, id: w.claim.Import.ID, after: w.claim.At.Row - 1},
		size:    newBatchSize(w.cfg.BatchRows, w.claim.Crashes),
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
	batch.Newcomers = make([]storage.Newcomer, 0, b.size.now)
	batch.AdminScopes = b.cfg.AdminScopes
	batch.SetDepartment = b.sheet.Has(roster.ColumnDepartment)
	for batch.Rows < int64(b.size.now) {
		row, err := b.sheet.Next()
		if errors.Is(err, io.EOF) {
			batch.Last = true
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
