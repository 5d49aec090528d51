package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
)

// check runs the check pass: every row is judged, nothing but counts, errors and
// marks is written. It returns nil when the pass or the import ended, errSlice
// when there is more to do later.
//
// While PostgreSQL commits one batch the addresses of the next are looked up, in
// the file and in the database, and the one behind that is being read; after a
// crash at this place one thing is done after the other.
func (w *work) check(ctx context.Context) error {
	judged, lookedUp := w.judged, w.lookedUp
	batches := ahead(ctx, w.panicked, func(ctx context.Context) iter.Seq2[*judgedBatch, error] {
		return lookedUp(ctx, ahead(ctx, w.panicked, judged))
	})
	if w.claim.Crashes > 0 {
		batches = lookedUp(ctx, judged(ctx))
	}
	began := time.Now()
	for batch, err := range batches {
		var unusable *intake.FileError
		if errors.As(err, &unusable) {
			return w.fail(ctx, unusable.Failure)
		}
		if err != nil {
			return err
		}
		checked := batch.checked()
		if err := w.saveChecked(ctx, checked); err != nil {
			return err
		}
		w.meter.batch("check", began, map[string]int64{"valid": checked.Valid, "refused": int64(len(checked.Refusals))})
		began = time.Now()
		if checked.Last {
			return nil
		}
		if w.over(ctx) {
			break
		}
	}
	return errSlice
}

func (w *work) saveChecked(ctx context.Context, b storage.Checked) (err error) {
	ctx, span := w.batchSpan(ctx, "check batch", b.To.Row, b.Rows)
	defer func() { endSpan(span, err) }()
	ctx, cancel := w.committing(ctx)
	defer cancel()
	return w.store.SaveChecked(ctx, w.claim, b)
}

func (w *work) fail(ctx context.Context, f roster.Failure) error {
	ctx, cancel := w.committing(ctx)
	defer cancel()
	if err := w.store.FailImport(ctx, w.claim, f); err != nil {
		return err
	}
	w.claim.Import.Status = roster.Failed
	return nil
}

// checkBatches is how many times as many rows a batch of the check has as one of
// the import: it writes next to nothing, so that its commit is what it costs.
const checkBatches = 4

// checker judges the rows of one file in order.
type checker struct {
	*work
	sheet    *intake.Sheet
	seen     *intake.Seen
	pending  *intake.Row // read while catching up, not yet judged
	care     caution
	rows     int64            // judged, over all claims
	first    bool             // the next batch is the file's first: it tells the layout
	suspect  bool             // the next row is refused unread: it has crashed too often
	warnings []roster.Warning // so far

	barred bool            // rows may make nobody administrator
	admins map[string]bool // who is one already, where that matters
}

// judgedBatch is a batch of rows as the checker leaves it: each is judged by
// itself, and nobody has looked yet who else has its address.
type judgedBatch struct {
	storage.Checked
	verdicts []verdict
	seen     *intake.Seen // the addresses of the batches before
}

// checked is the batch with its verdicts counted.
func (b *judgedBatch) checked() storage.Checked {
	for _, v := range b.verdicts {
		switch {
		case len(v.refusal.Problems) > 0:
			b.Refusals = append(b.Refusals, v.refusal)
		case v.admin:
			b.Admins++
			b.Valid++
		default:
			b.Valid++
		}
	}
	return b.Checked
}

// judged reads and judges batch after batch until the end of the file, an error
// or the end of ctx.
func (w *work) judged(ctx context.Context) iter.Seq2[*judgedBatch, error] {
	return func(yield func(*judgedBatch, error) bool) {
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
			c.care.committed()
		}
	}
}

// lookedUp adds to the verdicts what the rows before and the database know.
func (w *work) lookedUp(ctx context.Context, batches iter.Seq2[*judgedBatch, error]) iter.Seq2[*judgedBatch, error] {
	return func(yield func(*judgedBatch, error) bool) {
		for batch, err := range batches {
			if err == nil {
				batch.compare()
				err = w.lookUp(ctx, batch.verdicts)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// beginCheck opens the file. A check that goes on after another claim reads
// again what is judged already, to know the addresses in it; the database is
// not asked about them again.
func (w *work) beginCheck(ctx context.Context) (*checker, error) {
	c := &checker{
		work: w, seen: intake.NewSeen(), rows: w.claim.Import.Checked,
		care: caution{most: checkBatches * w.cfg.BatchRows, crashes: w.claim.Crashes}, first: w.claim.Layout.Header == nil,
		suspect: w.claim.Crashes >= crashesBeforeRefusal, warnings: w.claim.Import.Warnings,
	}
	if err := c.learnAuthority(ctx); err != nil {
		return nil, err
	}
	var err error
	if c.sheet, err = intake.Open(w.store.OpenUpload(ctx, w.claim.Import.ID, 0), w.claim.Import.Options); err != nil {
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
		if c.bar(row); len(row.Problems) == 0 {
			c.seen.Add(row.Person.EmailKey, row.Row)
		}
	}
	return c, nil
}

// learnAuthority finds out whether whoever started the import may make
// administrators. The import pass asks again, batch by batch.
func (c *checker) learnAuthority(ctx context.Context) error {
	ctx, cancel := c.committing(ctx)
	defer cancel()
	may, err := c.store.MakesAdmins(ctx, c.claim.Import.CreatedBy, c.cfg.AdminScopes)
	if c.barred = !may; err != nil || may || c.claim.Import.Options.OnDuplicate != roster.UpdateDuplicates {
		return err
	}
	c.admins, err = c.store.AdminKeys(ctx)
	return err
}

// bar adds the problem of a row that would make somebody administrator though it
// may not.
func (c *checker) bar(row *intake.Row) {
	if c.barred && row.Person.Role == roster.RoleAdmin && !c.admins[row.Person.EmailKey] {
		row.Problems = append(row.Problems, roster.MayNotPromote())
	}
}

// next judges the next batch of rows.
func (c *checker) next() (*judgedBatch, error) {
	most := c.care.rows()
	b := &judgedBatch{verdicts: make([]verdict, 0, most), seen: c.seen}
	for len(b.verdicts) < most {
		row, err := c.read()
		if err == io.EOF {
			b.Last = true
			break
		}
		if err != nil {
			return nil, err
		}
		if len(b.verdicts)%c.cfg.BatchRows == 0 {
			b.Marks = append(b.Marks, row.Start)
		}
		if c.rows++; c.rows > c.cfg.MaxRows {
			return nil, tooManyRows(c.cfg.MaxRows)
		}
		b.verdicts = append(b.verdicts, c.judge(row))
		b.To = row.End
	}
	b.Rows = int64(len(b.verdicts))
	if !b.Last { // the next pass has yet to crash
		b.Crashes = c.care.after()
	}
	b.Warnings = c.newWarnings()
	if c.first {
		b.Layout = &storage.Layout{Format: c.sheet.Format(), Header: c.sheet.Header()}
		c.first = false
	}
	return b, nil
}

func (c *checker) read() (*intake.Row, error) {
	if row := c.pending; row != nil {
		c.pending = nil
		return row, nil
	}
	return c.sheet.Next()
}

func tooManyRows(most int64) error {
	return &intake.FileError{Failure: roster.Failure{
		Code:    roster.TooManyRows,
		Message: fmt.Sprintf("The file has more than %d rows, the most one import may have.", most),
		Fix:     roster.TooManyRows.FileFix(),
	}}
}

// verdict is what was decided about a row; it is good when its refusal has no
// problems.
type verdict struct {
	refusal roster.Refusal
	key     string // "" if the address is not a good one
	admin   bool
}

// judge applies the rules of the row itself.
func (c *checker) judge(row *intake.Row) verdict {
	c.bar(row)
	v := verdict{refusal: row.Refusal(), key: row.Person.EmailKey, admin: row.Person.Role == roster.RoleAdmin}
	if c.suspect {
		c.suspect = false
		v.refusal.Problems = []roster.Problem{roster.Unprocessable(row.Person.Email)}
		v.key = ""
		return v
	}
	c.fault(roster.Checking, row.Row)
	return v
}

// compare refuses rows whose address stands in an earlier good row.
func (b *judgedBatch) compare() {
	for i := range b.verdicts {
		v := &b.verdicts[i]
		if v.key == "" {
			continue
		}
		var first int64
		if len(v.refusal.Problems) == 0 {
			first = b.seen.Add(v.key, v.refusal.Row)
		} else {
			first = b.seen.First(v.key)
		}
		if first != 0 {
			v.refusal.Problems = append(v.refusal.Problems, roster.RepeatedInFile(v.refusal.Email, first))
			v.key = "" // one reason to call it a duplicate will do
		}
	}
}

// lookUp refuses rows whose address has a user already, all of a batch in one
// query.
func (w *work) lookUp(ctx context.Context, judged []verdict) error {
	if w.claim.Import.Options.OnDuplicate != roster.SkipDuplicates {
		return nil
	}
	keys := make([]string, 0, len(judged))
	for _, v := range judged {
		if v.key != "" {
			keys = append(keys, v.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := w.committing(ctx)
	defer cancel()
	taken, err := w.store.TakenKeys(ctx, keys)
	if err != nil {
		return err
	}
	for i, v := range judged {
		if v.key != "" && taken[v.key] {
			judged[i].refusal.Problems = append(v.refusal.Problems, roster.AlreadyExists(v.refusal.Email))
		}
	}
	return nil
}

// newWarnings are those to store with the batch; nil leaves them as they are.
func (c *checker) newWarnings() []roster.Warning {
	news := c.first
	if c.first {
		c.warnings = append(slices.Clone(c.warnings), c.sheet.Warnings()...)
	}
	switch {
	case c.sheet.Mixed() && !c.warned(roster.WarnMixedEncodings):
		// Before rows were met that are UTF-8, all seemed to be in another encoding.
		c.warnings = slices.DeleteFunc(slices.Clone(c.warnings), func(w roster.Warning) bool { return w.Code == roster.WarnLikelyEncoding })
		c.warnings, news = append(c.warnings, mixedEncodings), true
	case !c.sheet.Mixed() && !c.warned(roster.WarnLikelyEncoding):
		if likely := c.sheet.LikelyEncoding(); likely != "" {
			c.warnings, news = append(slices.Clone(c.warnings), likelyEncoding(likely)), true
		}
	}
	if !news {
		return nil
	}
	return append([]roster.Warning{}, c.warnings...)
}

func (c *checker) warned(code string) bool {
	return slices.ContainsFunc(c.warnings, func(w roster.Warning) bool { return w.Code == code })
}

var mixedEncodings = roster.Warning{
	Code:    roster.WarnMixedEncodings,
	Message: "Some rows are not UTF-8, but the rest of the file is, so no other encoding reads all of it: mend these rows alone.",
}

func likelyEncoding(name string) roster.Warning {
	return roster.Warning{
		Code: roster.WarnLikelyEncoding, Encoding: name,
		Message: fmt.Sprintf("Some rows are not UTF-8. The file looks like %s: upload it again with encoding=%s, or save it as CSV UTF-8.", name, name),
	}
}
