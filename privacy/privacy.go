// Package privacy exports and erases the personal data of one user: what the
// database holds, and the rows in stored import files.
package privacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/storage"
	"rollcall/tabular/workbook"
)

// BusyError is returned by [Service.Erase] when an unfinished import contains
// the user: it would create them again.
type BusyError struct{ ImportID uuid.UUID }

func (e *BusyError) Error() string {
	return fmt.Sprintf("import %s, which has not ended, names this person", e.ImportID)
}

// Service exports and erases personal data. It is safe for concurrent use.
type Service struct {
	store  *storage.Store
	signer *auth.Signer
}

// New makes a Service. The signer makes the pseudonyms of erased users.
func New(store *storage.Store, signer *auth.Signer) *Service { return &Service{store, signer} }

// Report is the data kept about a user.
type Report struct {
	storage.PersonalData
	Files []uuid.UUID `json:"files"` // imports whose stored files contain the user's address
}

// Report collects the data kept about a user.
func (o *Service) Report(ctx context.Context, p storage.DataSubject, by storage.AuditEntry) (r Report, err error) {
	if r.PersonalData, err = o.store.PersonalData(ctx, p, by); err != nil {
		return Report{}, err
	}
	named, err := o.filesNaming(ctx, p)
	r.Files = []uuid.UUID{}
	for _, f := range named {
		r.Files = append(r.Files, f.ID)
	}
	return r, err
}

// Erasure is the result of an erasure.
type Erasure struct {
	Mark  string      `json:"mark"`           // the keyed hash that remains
	Files []uuid.UUID `json:"files_redacted"` // imports in whose files rows were blanked
}

// Erase deletes a user: the account, and all data about them in the database.
// Their actions stay on record under a keyed hash of the address. In stored
// import files, the rows that contain the address are masked in place, and so
// are the values in their row errors. The other rows stay, because they are
// about other people.
//
// Errors: *[BusyError]; storage.ErrLastAdmin; storage.ErrNotFound. After any of
// them, some rows may be masked while the user still exists: erase again.
func (o *Service) Erase(ctx context.Context, p storage.DataSubject, by storage.AuditEntry) (e Erasure, err error) {
	e = Erasure{Mark: o.signer.Pseudonym(p.EmailKey), Files: []uuid.UUID{}}
	named, err := o.filesNaming(ctx, p)
	if err != nil {
		return e, err
	}
	edits, err := o.store.EditsNaming(ctx, p)
	if err != nil {
		return e, err
	}
	for _, edit := range edits {
		if !edit.Ended {
			return e, &BusyError{edit.ImportID}
		}
	}
	for _, f := range named { // first, so that nothing is changed if one cannot be
		if !f.Ended {
			return e, &BusyError{f.ID}
		}
	}
	// A row may be about the person and have another address.
	if waiting, err := o.store.ImportWaitingFor(ctx, p); err != nil {
		return e, err
	} else if waiting != nil {
		return e, &BusyError{*waiting}
	}
	for _, f := range named {
		if err := o.redact(ctx, p, f, editsOf(edits, f.ID)); errors.Is(err, storage.ErrPurged) {
			continue // purged in the meantime
		} else if err != nil {
			return e, fmt.Errorf("redact the file of import %s: %w", f.ID, err)
		}
		e.Files = append(e.Files, f.ID)
	}
	return e, o.store.EraseUser(ctx, p, spellings(p), e.Mark, by)
}

// editsOf are the edits of one import.
func editsOf(edits []storage.EditNaming, id uuid.UUID) (of []storage.EditNaming) {
	for _, e := range edits {
		if e.ImportID == id {
			of = append(of, e)
		}
	}
	return of
}

// redact masks the rows of a file that contain the user's address, or were given it
// by an edit.
func (o *Service) redact(ctx context.Context, p storage.DataSubject, f storage.KeptFile, edits []storage.EditNaming) error {
	isWorkbook, err := o.isWorkbook(ctx, f)
	if err != nil {
		return err
	}
	if f.Converted || !isWorkbook {
		if err := o.redactRows(ctx, p, f, edits); err != nil {
			return err
		}
	}
	if !isWorkbook {
		return nil
	}
	if found, err := o.inWorkbook(ctx, newFinder(p), f); err != nil || !found && len(edits) == 0 {
		return err
	}
	return o.store.EraseUpload(ctx, f.ID)
}

// redactRows masks the rows of a CSV, or of a converted sheet.
func (o *Service) redactRows(ctx context.Context, p storage.DataSubject, f storage.KeptFile, edits []storage.EditNaming) error {
	rows := f.Rows()
	matches, err := newFinder(p).matches(o.store.OpenRows(ctx, rows, 0))
	if err != nil {
		return err
	}
	var records []storage.RecordRange
	if len(matches) > 0 {
		if records, err = recordsOf(o.store.OpenRows(ctx, rows, 0), matches, f.Converted); err != nil {
			return err
		}
	}
	for _, edit := range edits {
		edited, at, err := o.editedRecord(ctx, f, edit)
		if err != nil {
			return err
		}
		records, matches = append(records, edited...), append(matches, at...)
	}
	if len(records) == 0 {
		return nil
	}
	if f.Usable {
		records = keepHeader(records, matches, max(f.HeaderRow, 1))
	}
	if f.Converted {
		return o.store.RedactSheet(ctx, f.ID, records, matches[0].unit.mask)
	}
	return o.store.RedactUpload(ctx, f.ID, records, matches[0].unit.mask)
}

// editedRecord finds the record of an edited row by what the file has in it.
func (o *Service) editedRecord(ctx context.Context, f storage.KeptFile, edit storage.EditNaming) (records []storage.RecordRange, matches []match, err error) {
	if edit.FileText == "" {
		return nil, nil, nil
	}
	if matches, err = finderOf(edit.FileText).matches(o.store.OpenRows(ctx, f.Rows(), 0)); err != nil || len(matches) == 0 {
		return nil, nil, err
	}
	if records, err = recordsOf(o.store.OpenRows(ctx, f.Rows(), 0), matches, f.Converted); err != nil {
		return nil, nil, err
	}
	records = slices.DeleteFunc(records, func(r storage.RecordRange) bool { return edit.Line < r.FirstLine || edit.Line > r.LastLine })
	return records, matches, nil
}

// keepHeader leaves of the header, and of what is above it, everything but the
// address: the header is needed to read the other rows.
func keepHeader(records []storage.RecordRange, matches []match, row int64) (kept []storage.RecordRange) {
	for _, r := range records {
		if r.FirstLine > row {
			kept = append(kept, r)
			continue
		}
		for _, m := range matches {
			if r.From <= m.from && m.from < r.To {
				kept = append(kept, storage.RecordRange{From: m.from, To: m.to, FirstLine: r.FirstLine, LastLine: r.LastLine})
			}
		}
	}
	return kept
}

// names reports whether a file contains the address.
func (o *Service) names(ctx context.Context, finder finder, f storage.KeptFile) (found bool, err error) {
	if f.Converted {
		if found, err = finder.in(o.store.OpenRows(ctx, f.Rows(), 0)); err != nil || found || f.Erased {
			return found, err
		}
	}
	isWorkbook, err := o.isWorkbook(ctx, f)
	switch {
	case err != nil:
		return false, err
	case isWorkbook:
		return o.inWorkbook(ctx, finder, f)
	}
	return finder.in(o.store.OpenUpload(ctx, f.ID, 0))
}

// isWorkbook reports whether the upload is still there and packed, so that the
// address can't be found, or masked, in its bytes.
func (o *Service) isWorkbook(ctx context.Context, f storage.KeptFile) (bool, error) {
	if f.Erased {
		return false, nil
	}
	const signature = 8
	begin, err := o.store.UploadBegin(ctx, f.ID, signature)
	return err == nil && workbook.IsWorkbook(begin), err
}

// inWorkbook reports whether any part of a workbook contains the address: not only
// the sheet that was imported. What can't be unpacked is searched as it is.
func (o *Service) inWorkbook(ctx context.Context, finder finder, f storage.KeptFile) (found bool, err error) {
	err = workbook.Texts(o.store.UploadReaderAt(ctx, f.Rows()), f.Size, workbook.Limits{}, func(r io.Reader) (err error) {
		if !found {
			found, err = finder.in(r)
		}
		return err
	})
	if errors.As(err, new(*workbook.Error)) {
		return finder.in(o.store.OpenUpload(ctx, f.ID, 0))
	}
	return found, err
}

// filesAtOnce is how many imports are listed at a time.
const filesAtOnce = 200

// filesNaming finds the imports whose files contain the user's address.
func (o *Service) filesNaming(ctx context.Context, p storage.DataSubject) (named []storage.KeptFile, err error) {
	finder := newFinder(p)
	edits, err := o.store.EditsNaming(ctx, p)
	if err != nil {
		return nil, err
	}
	for after := uuid.Nil; ; {
		files, err := o.store.KeptFiles(ctx, after, filesAtOnce)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			found, err := o.names(ctx, finder, f)
			if errors.Is(err, storage.ErrPurged) { // purged in the meantime
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("search the file of import %s: %w", f.ID, err)
			}
			if found || len(editsOf(edits, f.ID)) > 0 {
				named = append(named, f)
			}
		}
		if len(files) < filesAtOnce {
			return named, nil
		}
		after = files[len(files)-1].ID
	}
}
