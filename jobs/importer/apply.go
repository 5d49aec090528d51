package importer

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// orderTimeout is how long a batch waits for the previous one before it rolls
// back and releases its rows: much longer than a batch takes, and short enough
// that two imports with the same addresses don't block each other for long.
const orderTimeout = 500 * time.Millisecond

// apply runs the import pass: the rows of the file, and what comes after them.
func (w *importRun) apply(ctx context.Context) error {
	if w.claim.Stage == storage.StageRows {
		if err := w.applyRows(ctx); err != nil {
			return err
		}
	}
	return w.close(ctx)
}

// close does what comes after the rows, step by step.
func (w *importRun) close(ctx context.Context) error {
	for w.claim.Import.Status == roster.Importing {
		if w.shouldStop(ctx) {
			return errSlice
		}
		if err := w.closeStep(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *importRun) closeStep(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	a, err := w.importer.store.CloseStep(ctx, w.claim, w.importer.cfg.AdminScopes)
	if err != nil {
		return err
	}
	w.invited = w.invited || a.Invited
	w.importer.metrics.batch("import", began, map[string]int64{
		"imported": a.Imported, "updated": a.Updated, "unchanged": a.Unchanged, "failed": a.Failed, "disabled": a.Disabled})
	return nil
}

// applyRows imports the rows of the file: batches of rows, one transaction each, some of
// them at once unless other imports are being worked on, too. Meanwhile the next
// is being read. After a crash at this place all of that is done one by one, so
// that it is clear which batch was at fault.
func (w *importRun) applyRows(ctx context.Context) error {
	pipeline := &commitPipeline{run: w, most: w.importer.cfg.Writers, orderTimeout: orderTimeout}
	if w.claim.Others > 0 { // with several imports running, one writer each is enough
		pipeline.most = 1
	}
	batches := prefetch(ctx, w.panicked, w.batches)
	if w.claim.Crashes > 0 {
		pipeline.most, batches = 1, w.batches(ctx)
	}
	defer pipeline.wait() // nothing of this run continues after it returns
	for batch, err := range batches {
		if err != nil {
			if _, err := w.waitOldest(pipeline, 0); err != nil {
				return err // an error of an earlier batch
			}
			return err
		}
		pipeline.start(ctx, batch)
		most := pipeline.most - 1
		if batch.Last || w.shouldStop(ctx) {
			most = 0
		}
		if ended, err := w.waitOldest(pipeline, most); err != nil || ended {
			return err
		}
		if w.shouldStop(ctx) {
			break
		}
	}
	if ended, err := w.waitOldest(pipeline, 0); err != nil || ended {
		return err
	}
	return errSlice
}

// waitOldest waits until at most most batches are pending. It reports whether
// the last one of the file is committed.
func (w *importRun) waitOldest(pipeline *commitPipeline, most int) (ended bool, err error) {
	for len(pipeline.pending) > most {
		f, err := pipeline.waitOldest()
		if err != nil {
			return false, err
		}
		w.invited = w.invited || f.applied.Invited
		w.importer.metrics.batch("import", f.began, map[string]int64{
			"imported": f.applied.Imported, "updated": f.applied.Updated, "unchanged": f.applied.Unchanged, "failed": f.applied.Failed})
		ended = f.batch.Last
	}
	return ended, nil
}

func (w *importRun) applyBatch(ctx context.Context, b storage.Batch) (a storage.Applied, err error) {
	ctx, span := w.batchSpan(ctx, "apply batch", b.To.Row, b.Rows)
	defer func() { endSpan(span, err) }()
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	return w.importer.store.ApplyBatch(ctx, w.claim, b)
}

// batches reads batch after batch until the end of the file, an error or the end
// of ctx.
func (w *importRun) batches(ctx context.Context) iter.Seq2[storage.Batch, error] {
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
			b.sizer.onCommit()
		}
	}
}

// batchReader cuts the rows of a file into batches, leaving out those that
// failed the check.
type batchReader struct {
	run       *importRun
	sheet     *userfile.Reader
	failed    failedRows
	sizer     batchSizer
	poisonRow bool           // the next row fails unread: it has crashed too often
	deferred  map[int64]bool // rows that are imported after all others
}

// beginApply opens the file at the cursor.
func (w *importRun) beginApply(ctx context.Context) (*batchReader, error) {
	b := &batchReader{
		run:       w,
		failed:    failedRows{store: w.importer.store, id: w.claim.Import.ID, after: w.claim.At.Row - 1},
		sizer:     batchSizer{most: w.importer.cfg.BatchRows, crashes: w.claim.Crashes},
		poisonRow: w.claim.Crashes >= quarantineAfter,
	}
	var err error
	at, options, layout := w.claim.At, w.claim.Import.Options, w.claim.Layout
	upload := w.importer.store.OpenRows(ctx, w.claim.Import, at.Offset)
	if at == (tabular.Position{}) {
		options.Encoding, options.Delimiter = layout.Format.Encoding, layout.Format.Delimiter
		b.sheet, err = userfile.OpenImport(upload, w.claim.Import, options)
	} else {
		b.sheet, err = userfile.Resume(upload, layout.Format, layout.Header, options, at)
	}
	if err != nil {
		return nil, fmt.Errorf("open file at row %d: %w", at.Row, err)
	}
	edits, err := w.importer.store.RowEdits(ctx, w.claim.Import.ID)
	if err != nil {
		return nil, err
	}
	b.sheet.SetEdits(edits.ForReader())
	if b.sheet.Has(roster.ColumnExternalID) {
		rows, err := w.importer.store.DeferredRows(ctx, w.claim.Import.ID)
		if err != nil {
			return nil, err
		}
		b.deferred = make(map[int64]bool, len(rows))
		for _, r := range rows {
			b.deferred[r.Row] = true
		}
	}
	return b, nil
}

func (b *batchReader) next(ctx context.Context) (batch storage.Batch, err error) {
	most := b.sizer.next()
	batch.Newcomers = make([]storage.UserRow, 0, most)
	batch.Crashes = b.sizer.crashesAfterCommit()
	batch.AdminScopes = b.run.importer.cfg.AdminScopes
	batch.Matching = matching(b.run.claim.Import, b.sheet)
	for batch.Rows < int64(most) {
		row, err := b.sheet.Next()
		if err == io.EOF {
			batch.Last, batch.Crashes = true, 0
			return batch, nil
		}
		if err != nil {
			return batch, err
		}
		failed, err := b.failed.has(ctx, row.Row)
		if err != nil {
			return batch, err
		}
		batch.Rows++
		batch.To = row.End
		switch {
		case failed, b.deferred[row.Row]: // counted and reported by the check, or later
		case b.poisonRow:
			row.Problems = []roster.Problem{roster.Unprocessable(row.Person.Email)}
			batch.RowErrors = append(batch.RowErrors, row.RowError())
		case len(row.Problems) > 0: // the rules changed since the check: report that instead of guessing
			batch.RowErrors = append(batch.RowErrors, row.RowError())
		default:
			b.run.importer.onRow(roster.Importing, row.Row)
			id, err := uuid.NewV7()
			if err != nil {
				return batch, err
			}
			batch.Newcomers = append(batch.Newcomers, storage.UserRow{ID: id, Row: row.Row, Line: row.Line, UserFields: row.Person})
		}
		b.poisonRow = false
	}
	return batch, nil
}

// matching says how the rows of a file find their users.
func matching(i *roster.Import, sheet *userfile.Reader) storage.Matching {
	return storage.MatchingOf(i, sheet.Has)
}

// failedRows walks through the numbers of the rows that failed in the check, in
// step with the rows of the file.
type failedRows struct {
	store *storage.Store
	id    uuid.UUID
	after int64 // the last row fetched
	page  []int64
	ended bool
}

// failedRowsPage is how many row numbers are fetched at once.
const failedRowsPage = 10_000

// has reports whether row failed the check. Rows must be asked for in ascending
// order.
func (r *failedRows) has(ctx context.Context, row int64) (bool, error) {
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
		page, err := r.store.FailedRows(ctx, r.id, max(r.after, row-1), failedRowsPage)
		if err != nil {
			return false, err
		}
		r.ended = len(page) < failedRowsPage
		r.page = page
		if len(page) > 0 {
			r.after = page[len(page)-1]
		}
	}
}
