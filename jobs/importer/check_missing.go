package importer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// failedUsers are the people of rows that fail for what is in them. They
// are not missing from the file: a typo in a name must not disable anyone.
type failedUsers struct {
	emails, keys *userfile.EmailSet
	unreadable   int64 // rows of which neither address nor key can be read; the first of them is firstRow
	firstRow     int64
}

func newFailedUsers() *failedUsers {
	return &failedUsers{emails: userfile.NewEmailSet(), keys: userfile.NewEmailSet()}
}

func (r *failedUsers) add(p roster.UserFields, row int64) {
	email := p.EmailKey
	if email == "" {
		email, _ = roster.EmailKey(p.Email) // of a row whose cells are wrong
	}
	if email != "" {
		r.emails.Add(email, row)
	}
	if p.ExternalID != "" {
		r.keys.Add(p.ExternalID, row)
	}
	if email == "" && p.ExternalID == "" {
		if r.unreadable++; r.firstRow == 0 {
			r.firstRow = row
		}
	}
}

// findMissing finds the users of the source who are not in the file, and whether
// they are more than the safety limit allows. The error is a *userfile.FileError
// for a file without a valid row: it would disable everyone.
func (w *importRun) findMissing(ctx context.Context, b *checkedBatch, checked *storage.Checked) error {
	i := w.claim.Import
	if valid := i.Valid + w.valid + checked.Valid; valid == 0 {
		return &userfile.FileError{Failure: roster.Failure{
			Code: roster.EmptyRoster, Fix: roster.EmptyRoster.FileFix(),
			Message: "The file has no valid row, and everyone who is missing from it would be disabled.",
		}}
	}
	checked.Limit = new(int64)
	if err := w.inTransaction(ctx, func(ctx context.Context) error { return w.importer.store.ClearMissing(ctx, w.claim) }); err != nil {
		return err
	}
	present := b.present
	if b.failed.unreadable > 0 {
		checked.Warnings = append(append([]roster.Warning{}, warningsWith(checked.Warnings, i.Warnings)...), missingKept(b.failed))
		present = func(string, string) bool { return true } // the limit is still of use if the row is edited
	}
	users, err := w.searchMissing(ctx, present, checked)
	if err != nil {
		return err
	}
	*checked.Limit = roster.MaxDisable(cmp.Or(i.Options.MaxDisable, w.importer.cfg.MaxDisable), users)
	if checked.Disable > *checked.Limit && !i.Options.DryRun { // its rows may be edited, after all
		checked.Keyed, err = w.hashRows(ctx)
	}
	return err
}

// present reports whether a user is in the file up to this batch.
func (b *checkedBatch) present(email, key string) bool {
	return b.seen.Row(email) != 0 || b.failed.emails.Row(email) != 0 ||
		key != "" && (b.keys.Row(key) != 0 || b.failed.keys.Row(key) != 0)
}

// searchMissing goes through the users of the source, and returns how many there
// are who are not disabled.
func (w *importRun) searchMissing(ctx context.Context, present func(email, key string) bool, checked *storage.Checked) (users int64, err error) {
	for page, err := range prefetch(ctx, w.panicked, w.sourceUsers) {
		if err == nil {
			err = w.inTransaction(ctx, func(ctx context.Context) error {
				missing, err := w.importer.store.NoteMissing(ctx, w.claim, page, checked.Disable, present)
				checked.Disable += missing
				return err
			})
		}
		if err != nil {
			return 0, err
		}
		users += int64(len(page))
	}
	if err := context.Cause(ctx); err != nil { // not all pages came, or none
		return 0, err
	}
	if checked.Disable == 0 {
		return users, nil
	}
	return users, w.inTransaction(ctx, func(ctx context.Context) error {
		spared, err := w.importer.store.SpareLastAdmin(ctx, w.claim)
		if spared {
			checked.Disable--
		}
		return err
	})
}

// sourceUsers yields the users of the source page by page, until an error or the end
// of ctx.
func (w *importRun) sourceUsers(ctx context.Context) iter.Seq2[[]storage.SourceUser, error] {
	return func(yield func([]storage.SourceUser, error) bool) {
		for after := uuid.Nil; ; {
			var page []storage.SourceUser
			err := w.inTransaction(ctx, func(ctx context.Context) (err error) {
				page, after, err = w.importer.store.SourceUsers(ctx, w.claim.Import.Options.Source, after, storage.SourcePage)
				return err
			})
			if !yield(page, err) || err != nil || after == uuid.Nil {
				return
			}
		}
	}
}

// hashRows reads the file once more to store the hashes by which edits find its rows,
// and returns how many rows it has.
func (w *importRun) hashRows(ctx context.Context) (rows int64, err error) {
	i := w.claim.Import
	sheet, err := userfile.OpenImport(w.importer.store.OpenRows(ctx, i, 0), i, i.Options)
	if err != nil {
		return 0, err
	}
	for ended := false; !ended; {
		var keys []storage.RowKey
		for n := 0; n < w.checkRows(); n++ {
			row, err := sheet.Next()
			if ended = err == io.EOF; ended {
				break
			}
			if err != nil {
				return 0, err
			}
			keys = storage.AppendRowKeys(keys, i.ID, row.Person, row.Row)
			rows++
		}
		if err := w.inTransaction(ctx, func(ctx context.Context) error { return w.importer.store.AddRowKeys(ctx, w.claim, keys) }); err != nil {
			return 0, err
		}
	}
	return rows, nil
}

func (w *importRun) inTransaction(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	return do(ctx)
}

// warningsWith are the warnings that the import has with the batch.
func warningsWith(batch, before []roster.Warning) []roster.Warning {
	if batch != nil {
		return batch
	}
	return before
}

func missingKept(r *failedUsers) roster.Warning {
	return roster.Warning{
		Code: roster.WarnMissingKept, Rows: r.unreadable,
		Message: fmt.Sprintf("No one was disabled: it is not clear whom row %d is about, because neither its address nor its external_id can be read. Fix the row and upload the file again.", r.firstRow),
	}
}
