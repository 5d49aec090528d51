package importer

import (
	"context"
	"fmt"

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
	limit := i.Options.MaxDisable
	if limit == "" {
		limit = w.importer.cfg.MaxDisable
	}
	*checked.Limit = roster.MaxDisable(limit, users)
	return nil
}

// present reports whether a user is in the file up to this batch.
func (b *checkedBatch) present(email, key string) bool {
	return b.seen.Row(email) != 0 || b.failed.emails.Row(email) != 0 ||
		key != "" && (b.keys.Row(key) != 0 || b.failed.keys.Row(key) != 0)
}

// searchMissing goes through the users of the source, and returns how many there
// are who are not disabled.
func (w *importRun) searchMissing(ctx context.Context, present func(email, key string) bool, checked *storage.Checked) (users int64, err error) {
	for after := uuid.Nil; ; {
		var page storage.SourcePage
		if err := w.inTransaction(ctx, func(ctx context.Context) error {
			page, err = w.importer.store.FindMissing(ctx, w.claim, after, checked.Disable, present)
			return err
		}); err != nil {
			return 0, err
		}
		users += page.Users
		checked.Disable += page.Missing
		if after = page.Last; after == uuid.Nil {
			break
		}
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
