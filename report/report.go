package report

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// ErrNotEnded means that the import has not come far enough for this report.
var ErrNotEnded = errors.New("import not ended")

// Reports makes the reports of imports. It is safe for concurrent use.
type Reports struct{ store *storage.Store }

// New returns the Reports of the imports in store.
func New(store *storage.Store) *Reports { return &Reports{store: store} }

// find reads an import whose file is still there and whose status will do.
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
func settled(s roster.Status) bool { return s == roster.Ready || s.Ended() }

// open reads the file of an import from the top, in the format settled when it
// was first opened, if it was. A file that cannot be used is an
// *intake.FileError.
func (r *Reports) open(ctx context.Context, i *roster.Import) (*intake.Sheet, error) {
	layout, err := r.store.ImportLayout(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	o := i.Options
	if layout.Header != nil {
		o.Encoding, o.Delimiter = layout.Format.Encoding, layout.Format.Delimiter
	}
	return intake.Open(r.store.OpenUpload(ctx, i.ID, 0), o)
}

// ownColumns are the indices of the header's cells that are the file's own:
// all but those that an error report of ours has added, wherever they now
// stand.
func ownColumns(sheet *intake.Sheet) []int {
	var own []int
	for i, h := range sheet.Header() {
		if !sheet.IsReport() || !isReportColumn(h) {
			own = append(own, i)
		}
	}
	return own
}

// isReportColumn compares headers as an upload does: separators are alike to
// the point of being none.
func isReportColumn(header string) bool {
	plain := func(h string) string { return strings.ReplaceAll(tabular.NormalizeHeader(h), "_", "") }
	for _, c := range intake.ReportColumns() {
		if plain(c) == plain(header) {
			return true
		}
	}
	return false
}

// wrap says which report of which import an error is about.
func wrap(err *error, report string, id uuid.UUID) {
	if *err != nil {
		*err = fmt.Errorf("%s of import %s: %w", report, id, *err)
	}
}
