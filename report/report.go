package report

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// ErrNotEnded means that the import is not far enough for this report.
var ErrNotEnded = errors.New("import not ended")

// Reports makes the reports of imports. It is safe for concurrent use.
type Reports struct{ store *storage.Store }

// New returns the Reports of the imports in store.
func New(store *storage.Store) *Reports { return &Reports{store: store} }

// find reads an import whose file still exists and whose status is reportable.
func (r *Reports) find(ctx context.Context, id uuid.UUID, reportable func(roster.Status) bool) (*roster.Import, error) {
	i, err := r.store.Import(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case i.Purged():
		return nil, storage.ErrPurged
	case !reportable(i.Status):
		return nil, ErrNotEnded
	}
	return i, nil
}

// settled reports whether an import stands still: it has ended, or it is a dry
// run that waits to be confirmed.
func settled(s roster.Status) bool { return s == roster.Ready || s == roster.Held || s.Ended() }

// open reads the file of an import from the start, in the format determined
// when it was first opened, if it was. A file that cannot be used is an
// *userfile.FileError. Its rows have the cells that were edited.
func (r *Reports) open(ctx context.Context, i *roster.Import) (*userfile.Reader, error) {
	layout, err := r.store.ImportLayout(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	o := i.Options
	if layout.Header != nil {
		o.Encoding, o.Delimiter = layout.Format.Encoding, layout.Format.Delimiter
	}
	sheet, err := userfile.OpenImport(r.store.OpenRows(ctx, i, 0), i, o)
	if err != nil {
		return nil, err
	}
	return sheet, r.setEdits(ctx, i, sheet)
}

func (r *Reports) setEdits(ctx context.Context, i *roster.Import, sheet *userfile.Reader) error {
	edits, err := r.store.RowEdits(ctx, i.ID)
	if err == nil {
		sheet.SetEdits(edits.ForReader())
	}
	return err
}

// wrap adds the report and the import to an error.
func wrap(err *error, report string, id uuid.UUID) {
	if *err != nil {
		*err = fmt.Errorf("%s of import %s: %w", report, id, *err)
	}
}
