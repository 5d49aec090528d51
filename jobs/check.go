package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// check runs the check pass: every row is judged, nothing but counts, errors and
// marks is written. It returns nil when the pass or the import ended, errSlice
// when there is more to do later.
func (w *work) check(ctx context.Context) error {
	c, err := w.beginCheck(ctx)
	var unusable *intake.FileError
	if errors.As(err, &unusable) {
		return w.fail(ctx, unusable.Failure)
	}
	if err != nil {
		return err
	}
	for {
		began := time.Now()
		batch, err := c.next(ctx)
		if errors.As(err, &unusable) {
			return w.fail(ctx, unusable.Failure)
		}
		if err != nil {
			return err
		}
		if err := w.saveChecked(ctx, batch); err != nil {
			return err
		}
		c.size.committed()
		c.first = false
		w.meter.batch("check", began, map[string]int64{"valid": batch.Valid, "refused": int64(len(batch.Refusals))})
		if batch.Last {
			return nil
		}
		if w.over(ctx) {
			return errSlice
		}
	}
}

func (w *work) saveChecked(ctx context.Context, b storage.Checked) (err error) {
	ctx, span := w.batchSpan(ctx, "check batch", b.Rows)
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

// checker judges the rows of one file in order.
type checker struct {
	*work
	sheet   *intake.Sheet
	seen    *intake.Seen
	pending *intake.Row // read while catching up, not yet judged
	size    batchSize
	rows    int64 // judged, over all claims
	first   bool  // the next batch is the file's first: it tells the layout
	warned  bool

	barred bool            // rows may make nobody administrator
	admins map[string]bool // who is one already, where that matters
}

// beginCheck opens the file. A check that goes on after another claim reads
// again what is judged already, to know the addresses in it; the database is
// not asked about them again.
func (w *work) beginCheck(ctx context.Context) (*checker, error) {
	c := &checker{
		work: w, seen: intake.NewSeen(), rows: w.claim.Import.Checked,
		size: newBatchSize(w.cfg.BatchRows, w.claim.Crashes), first: w.claim.Layout.Header == nil,
	}
	for _, warning := range w.claim.Import.Warnings {
		c.warned = c.warned || warning.Code == roster.WarnLikelyEncoding
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
		if errors.Is(err, io.EOF) {
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
func (c *checker) next(ctx context.Context) (b storage.Checked, err error) {
	judged := make([]verdict, 0, c.size.now)
	for len(judged) < c.size.now {
		row, err := c.read()
		if errors.Is(err, io.EOF) {
			b.Last = true
			break
		}
		if err != nil {
			return b, err
		}
		if len(judged) == 0 {
			b.Marks = []tabular.Position{row.Start}
		}
		if c.rows++; c.rows > c.cfg.MaxRows {
			return b, tooManyRows(c.cfg.MaxRows)
		}
		judged = append(judged, c.judge(row, len(judged) == 0))
		b.To = row.End
	}
	if err := c.lookUp(ctx, judged); err != nil {
		return b, err
	}
	b.Rows = int64(len(judged))
	for _, v := range judged {
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
	b.Warnings = c.warnings()
	if c.first {
		b.Layout = &storage.Layout{Format: c.sheet.Format(), Header: c.sheet.Header()}
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

// judge applies what can be known without the database: the rules of the row
// and whether its address stands in an earlier good row.
func (c *checker) judge(row *intake.Row, firstOfBatch bool) verdict {
	c.bar(row)
	v := verdict{refusal: row.Refusal(), key: row.Person.EmailKey, admin: row.Person.Role == roster.RoleAdmin}
	if firstOfBatch && c.claim.Crashes >= crashesBeforeRefusal {
		v.refusal.Problems = []roster.Problem{roster.Unprocessable(row.Person.Email)}
		v.key = ""
		return v
	}
	c.fault(roster.Checking, row.Row)
	if v.key == "" {
		return v
	}
	var first int64
	if len(row.Problems) == 0 {
		first = c.seen.Add(v.key, row.Row)
	} else {
		first = c.seen.First(v.key)
	}
	if first != 0 {
		v.refusal.Problems = append(v.refusal.Problems, roster.RepeatedInFile(row.Person.Email, first))
		v.key = "" // one reason to call it a duplicate will do
	}
	return v
}

// lookUp refuses rows whose address has a user already, all of a batch in one
// query.
func (c *checker) lookUp(ctx context.Context, judged []verdict) error {
	if c.claim.Import.Options.OnDuplicate != roster.SkipDuplicates {
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
	ctx, cancel := c.committing(ctx)
	defer cancel()
	taken, err := c.store.TakenKeys(ctx, keys)
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

// warnings are those to store with the batch; nil leaves them as they are.
func (c *checker) warnings() []roster.Warning {
	known := c.claim.Import.Warnings
	if c.first {
		known = append(known, c.sheet.Warnings()...)
	}
	if likely := c.sheet.LikelyEncoding(); likely != "" && !c.warned {
		c.warned = true
		return append(slices.Clone(known), likelyEncoding(likely))
	}
	if c.first {
		return append([]roster.Warning{}, known...)
	}
	return nil
}

func likelyEncoding(name string) roster.Warning {
	return roster.Warning{
		Code:    roster.WarnLikelyEncoding,
		Message: fmt.Sprintf("Some rows are not UTF-8. The file looks like %s: upload it again with encoding=%s, or save it as CSV UTF-8.", name, name),
	}
}
