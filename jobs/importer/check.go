package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// check runs the check pass: it validates every row and writes only counts, row
// errors and progress marks. It returns nil when the pass or the import ended,
// errSlice when there is more to do later.
//
// While PostgreSQL commits one batch, the addresses of the next are looked up
// in the file and in the database, and the one after that is being read. After
// a crash at this position the steps run one after the other.
func (w *importRun) check(ctx context.Context) error {
	w.adminsChange = -int(w.claim.Import.Plan.AdminsLost) // at most, of an earlier claim
	validated, lookedUp := w.validated, w.lookedUp
	batches := prefetch(ctx, w.panicked, func(ctx context.Context) iter.Seq2[*checkedBatch, error] {
		return lookedUp(ctx, prefetch(ctx, w.panicked, validated))
	})
	if w.claim.Crashes > 0 {
		batches = lookedUp(ctx, validated(ctx))
	}
	began := time.Now()
	for batch, err := range batches {
		var unusable *userfile.FileError
		if errors.As(err, &unusable) {
			return w.fail(ctx, unusable.Failure)
		}
		if err != nil {
			return err
		}
		if batch.Last {
			if err := w.settleDeferred(ctx, batch); err != nil {
				return err
			}
		}
		checked := batch.checked()
		if batch.Last && w.claim.Import.Options.Missing == roster.MissingDisable {
			var unusable *userfile.FileError
			if err := w.findMissing(ctx, batch, &checked); errors.As(err, &unusable) {
				return w.fail(ctx, unusable.Failure)
			} else if err != nil {
				return err
			}
		}
		w.tellRolesKept(&checked, batch.kept)
		if err := w.saveChecked(ctx, checked); err != nil {
			return err
		}
		w.valid += checked.Valid
		w.spare.Put(&batch.results)
		w.importer.metrics.batch("check", began, map[string]int64{"valid": checked.Valid, "failed": int64(len(checked.RowErrors))})
		began = time.Now()
		if checked.Last {
			return nil
		}
		if w.shouldStop(ctx) {
			break
		}
	}
	return errSlice
}

func (w *importRun) saveChecked(ctx context.Context, b storage.Checked) (err error) {
	ctx, span := w.batchSpan(ctx, "check batch", b.To.Row, b.Rows)
	defer func() { endSpan(span, err) }()
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	return w.importer.store.SaveChecked(ctx, w.claim, b)
}

func (w *importRun) fail(ctx context.Context, f roster.Failure) error {
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	if err := w.importer.store.FailImport(ctx, w.claim, f); err != nil {
		return err
	}
	w.claim.Import.Status = roster.Failed
	return nil
}

// checkBatches is how many times larger a batch is in the check than in the
// import: the check writes next to nothing, so most of its cost is the commit.
const checkBatches = 4

// updateBatches is the same of an import that compares rows with whole users, which
// takes twice the memory for each row.
const updateBatches = 2

// markRows is after how many rows a place to begin reading is stored: an edit reads
// single rows.
const markRows = 1000

// checker validates the rows of one file in order.
type checker struct {
	run *importRun

	sheet     *userfile.Reader
	seen      *userfile.EmailSet
	keys      *userfile.EmailSet // of the good rows
	keyless   *userfile.EmailSet // addresses of the good rows without a key, of a file with keys
	failed    *failedUsers
	pending   *userfile.Row // read while catching up, not yet judged
	sizer     batchSizer
	rows      int64            // validated, over all claims
	first     bool             // the next batch is the file's first: it determines the layout
	poisonRow bool             // the next row fails unread: it has crashed the import too often
	warnings  []roster.Warning // so far
	quote     userfile.OpenQuote

	adminsDenied bool            // rows may not create administrators
	keepAdmins   bool            // nor change existing ones
	admins       map[string]bool // existing administrators, loaded only when adminsDenied
}

// checkedBatch is a batch of rows that were validated one by one; duplicates of
// other rows and of existing users have not been looked up yet.
type checkedBatch struct {
	storage.Checked
	importID uuid.UUID
	matching storage.Matching
	results  []rowResult
	seen     *userfile.EmailSet // the addresses of the good rows of the batches before
	keys     *userfile.EmailSet // and their keys
	keyless  *userfile.EmailSet // and the addresses of those without
	failed   *failedUsers
	hashRows bool  // rows will be found by their hashes
	kept     int64 // good rows whose user keeps a role although they give another
}

// checked returns the batch with its results counted.
func (b *checkedBatch) checked() storage.Checked {
	for _, v := range b.results {
		switch {
		case len(v.rowError.Problems) > 0:
			b.RowErrors = append(b.RowErrors, v.rowError)
			continue
		case v.waits:
			b.Deferred = append(b.Deferred, b.deferredRow(v))
			continue
		}
		b.countKept(v.plan)
		b.count(v.rowError.Row, v.person.Role, v.plan)
	}
	return b.Checked
}

// count adds a valid row to the results.
func (b *checkedBatch) count(row int64, role roster.Role, plan *storage.RowPlan) {
	b.Valid++
	if role == roster.RoleAdmin {
		b.Admins++
	}
	switch gained, lost := b.Plan.Count(plan.Action, plan.OldRole, plan.Role); {
	case gained:
		b.AdminRows = append(b.AdminRows, row)
	case lost:
		b.AdminLostRows = append(b.AdminLostRows, row)
	}
	if plan.DepartmentCleared {
		b.DepartmentsCleared++
	}
	if b.Actions != nil {
		b.Actions[plan.Action] = append(b.Actions[plan.Action], row)
	}
}

// validated yields validated batches until the end of the file, an error or the
// end of ctx.
func (w *importRun) validated(ctx context.Context) iter.Seq2[*checkedBatch, error] {
	return func(yield func(*checkedBatch, error) bool) {
		c, err := w.beginCheck(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for ctx.Err() == nil {
			batch, err := c.next()
			if err != nil && ctx.Err() != nil {
				return
			}
			if !yield(batch, err) || err != nil || batch.Last {
				return
			}
			c.sizer.onCommit()
		}
	}
}

// lookedUp adds duplicates of earlier rows and of existing users to the
// results.
func (w *importRun) lookedUp(ctx context.Context, batches iter.Seq2[*checkedBatch, error]) iter.Seq2[*checkedBatch, error] {
	return func(yield func(*checkedBatch, error) bool) {
		for batch, err := range batches {
			if err == nil {
				batch.compare()
				err = w.lookUp(ctx, batch)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// beginCheck opens the file. A check that continues after another claim reads
// the rows validated before again, to know their addresses; it does not look
// those up in the database again.
func (w *importRun) beginCheck(ctx context.Context) (*checker, error) {
	c := &checker{
		run: w, seen: userfile.NewEmailSet(), keys: userfile.NewEmailSet(), keyless: userfile.NewEmailSet(), failed: newFailedUsers(), rows: w.claim.Import.Checked,
		sizer: batchSizer{most: w.checkRows(), crashes: w.claim.Crashes}, first: w.claim.Layout.Header == nil,
		poisonRow: w.claim.Crashes >= quarantineAfter, warnings: w.claim.Import.Warnings,
	}
	if err := c.loadAdminRights(ctx); err != nil {
		return nil, err
	}
	var err error
	if w.waiting, err = w.importer.store.CountDeferredRows(ctx, w.claim.Import.ID); err != nil {
		return nil, err
	}
	if c.sheet, err = userfile.OpenImport(w.importer.store.OpenRows(ctx, w.claim.Import, 0), w.claim.Import, w.claim.Import.Options); err != nil {
		return nil, err
	}
	for w.claim.At.Row > 0 {
		row, err := c.sheet.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if row.Row >= w.claim.At.Row {
			c.pending = row
			break
		}
		if err := c.quote.Row(row); err != nil {
			return nil, err
		}
		if c.denyAdmin(row); len(row.Problems) == 0 {
			first, firstKey := remember(c.seen, c.keys, row.Person.EmailKey, row.Person.ExternalID, row.Row)
			if first != 0 || firstKey != 0 {
				c.failed.add(row.Person, row.Row)
			} else if row.Person.ExternalID == "" && c.sheet.Has(roster.ColumnExternalID) {
				c.keyless.Add(row.Person.EmailKey, row.Row)
			}
		} else {
			c.failed.add(row.Person, row.Row)
		}
	}
	return c, nil
}

// checkRows is how many rows the check judges at a time.
func (w *importRun) checkRows() int {
	if w.claim.Import.Options.OnDuplicate == roster.UpdateDuplicates {
		return updateBatches * w.importer.cfg.BatchRows
	}
	return checkBatches * w.importer.cfg.BatchRows
}

// loadAdminRights finds out whether the account that started the import may
// create administrators, and change those there are. The import pass asks again
// for every batch.
func (c *checker) loadAdminRights(ctx context.Context) error {
	ctx, cancel := c.run.importer.txContext(ctx)
	defer cancel()
	store, by := c.run.importer.store, c.run.claim.Import.CreatedBy
	may, err := store.CanGrantAdmin(ctx, by, c.run.importer.cfg.AdminScopes)
	if c.adminsDenied = !may; err != nil || c.run.claim.Import.Options.OnDuplicate != roster.UpdateDuplicates {
		return err
	}
	may, err = store.CanGrantAdmin(ctx, by, storage.AdminScopes())
	if c.keepAdmins = !may; err != nil || !c.adminsDenied {
		return err
	}
	c.admins, err = store.AdminKeys(ctx)
	return err
}

// denyAdmin adds a problem to a row that would create an administrator when
// this import may not.
func (c *checker) denyAdmin(row *userfile.Row) {
	if c.adminsDenied && row.Person.Role == roster.RoleAdmin && !c.admins[row.Person.EmailKey] {
		row.Problems = append(row.Problems, roster.AdminNotAllowed())
	}
}

// next validates the next batch of rows.
func (c *checker) next() (*checkedBatch, error) {
	most := c.sizer.next()
	b := &checkedBatch{importID: c.run.claim.Import.ID, matching: matching(c.run.claim.Import, c.sheet), results: c.run.spareResults(most), seen: c.seen, keys: c.keys, keyless: c.keyless, failed: c.failed}
	b.matching.KeepAdmins = c.keepAdmins
	o := c.run.claim.Import.Options
	if b.hashRows = o.DryRun; o.DryRun || o.Missing == roster.MissingDisable { // may stop to be confirmed
		b.Actions = storage.ActionRows{}
	}
	for len(b.results) < most {
		row, err := c.read()
		if err == io.EOF {
			b.Last = true
			break
		}
		if err != nil {
			return nil, err
		}
		if err := c.quote.Row(row); err != nil {
			return nil, err
		}
		if len(b.results)%min(markRows, c.run.importer.cfg.BatchRows) == 0 {
			b.Marks = append(b.Marks, row.Start)
		}
		if c.rows++; c.rows > c.run.importer.cfg.MaxRows {
			return nil, tooManyRows(c.run.importer.cfg.MaxRows)
		}
		b.results = append(b.results, c.validate(row))
		b.To = row.End
	}
	b.Rows = int64(len(b.results))
	if b.Last {
		b.RoleValues = c.sheet.RoleValues()
	}
	if !b.Last { // the next pass may still crash
		b.Crashes = c.sizer.crashesAfterCommit()
	}
	b.Warnings = c.newWarnings()
	if c.first {
		b.Layout = &storage.Layout{Format: c.sheet.Format(), Header: c.sheet.Header()}
		c.first = false
	}
	return b, nil
}

// spareResults is room for the results of a batch, if possible that of one which is
// saved: new room of megabytes would have to be cleared, and collected.
func (w *importRun) spareResults(n int) []rowResult {
	if spare, ok := w.spare.Get().(*[]rowResult); ok && cap(*spare) >= n {
		return (*spare)[:0]
	}
	return make([]rowResult, 0, n)
}

func (c *checker) read() (*userfile.Row, error) {
	if row := c.pending; row != nil {
		c.pending = nil
		return row, nil
	}
	return c.sheet.Next()
}

func tooManyRows(most int64) error {
	return &userfile.FileError{Failure: roster.Failure{
		Code:    roster.TooManyRows,
		Message: fmt.Sprintf("The file has more than %d rows, the maximum for one import.", most),
		Fix:     roster.TooManyRows.FileFix(),
	}}
}

// rowResult is the result of validating a row; the row is valid if its error
// has no problems.
type rowResult struct {
	rowError roster.RowError
	person   roster.UserFields
	plan     *storage.RowPlan // of a good row, once it is looked up; rows may share one
	waits    bool             // for the end of the file: see settleDeferred
	key      string           // "" if the address is not a good one
}

// validate applies the rules that concern the row alone.
func (c *checker) validate(row *userfile.Row) rowResult {
	c.denyAdmin(row)
	v := rowResult{rowError: row.RowError(), person: row.Person, key: row.Person.EmailKey}
	if c.poisonRow {
		c.poisonRow = false
		v.rowError.Problems = []roster.Problem{roster.Unprocessable(row.Person.Email)}
		v.key = ""
		return v
	}
	c.run.importer.onRow(roster.Checking, row.Row)
	return v
}
