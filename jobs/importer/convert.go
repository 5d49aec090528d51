package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular/workbook"
	"rollcall/userfile"
)

const (
	// renewEvery is how often the lease is renewed during a conversion, which may
	// take longer than a lease without storing anything.
	renewEvery = 3 * time.Second
	// rowsAboveHeader is how many rows of a sheet may be no rows of the import: its
	// header and what is above it.
	rowsAboveHeader = roster.MaxHeaderRow
)

// convert turns a workbook into rows that can be read in slices, unless that has been
// done. It can't be continued: after a crash, or when the worker shuts down in the
// middle, the next claim starts over.
//
// It doesn't end with the slice, but one process converts one workbook at a time: that
// takes memory. A run that has to wait for another hands the import back after a slice.
func (w *importRun) convert(ctx context.Context) error {
	i := w.claim.Import
	if i.IsSheet() || w.claim.Layout.Header != nil || i.Checked > 0 {
		return nil
	}
	const signature = 8
	begin, err := w.importer.store.UploadBegin(ctx, i.ID, signature)
	if err != nil || !workbook.IsWorkbook(begin) {
		return err
	}
	if w.claim.Crashes >= quarantineAfter {
		return w.fail(ctx, unreadable("The workbook can't be read: doing so failed repeatedly."))
	}
	if err := w.waitForConverter(ctx); err != nil {
		return err
	}
	defer func() { <-w.importer.converting }()
	began := time.Now()
	err = w.convertFile(ctx)
	var told *workbook.Error
	switch {
	case errors.As(err, &told):
		return w.fail(ctx, userfile.SheetError(told).Failure)
	case errors.Is(err, errConvertTimeout):
		return w.fail(ctx, unreadable(fmt.Sprintf("The workbook takes longer than %v to read.", w.importer.cfg.ConvertTimeout)))
	case err == nil:
		w.log.Info("workbook converted", "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

var errConvertTimeout = errors.New("conversion took too long")

func unreadable(message string) roster.Failure {
	return roster.Failure{Code: roster.MalformedFile, Message: message, Fix: "Save the sheet as CSV UTF-8 and upload that"}
}

// waitForConverter waits for its turn to convert. The lease is longer than a slice.
func (w *importRun) waitForConverter(ctx context.Context) error {
	patience := time.NewTimer(w.importer.cfg.Slice)
	defer patience.Stop()
	select {
	case w.importer.converting <- struct{}{}:
		return nil
	case <-patience.C:
		return errSlice
	case <-ctx.Done():
		return errSlice
	}
}

// convertFile converts the workbook while the lease is being renewed.
func (w *importRun) convertFile(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := time.AfterFunc(w.importer.cfg.ConvertTimeout, func() { cancel(errConvertTimeout) })
	defer timeout.Stop()
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		w.renewLease(ctx, cancel)
	}()
	err := w.convertSheet(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	<-renewed
	if err != nil && (errors.Is(cause, errConvertTimeout) || errors.Is(cause, storage.ErrClaimLost)) {
		return cause
	}
	return err
}

// renewLease renews the lease until ctx ends, and ends it if the claim is lost.
func (w *importRun) renewLease(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Any other error shows when the next chunk is stored.
		if err := w.importer.store.RenewLease(ctx, w.claim); errors.Is(err, storage.ErrClaimLost) {
			cancel(err)
			return
		}
	}
}

func (w *importRun) convertSheet(ctx context.Context) error {
	i := w.claim.Import
	book, err := workbook.Open(w.importer.store.UploadReaderAt(ctx, i), i.Size, workbook.Limits{})
	if err != nil {
		return err
	}
	found := roster.Workbook{}
	for _, s := range book.Sheets() {
		found.Sheets = append(found.Sheets, roster.Sheet{Name: s.Name, Hidden: s.Hidden})
	}
	out := &sheetWriter{run: w, ctx: ctx, workbook: found}
	if err := out.Restart(); err != nil {
		return err
	}
	result, err := book.Convert(out, workbook.Options{
		Sheet: i.Options.Sheet, HeaderRow: int(i.Options.HeaderRow),
		MaxRows: w.importer.cfg.MaxRows + rowsAboveHeader, MaxBytes: w.importer.cfg.MaxSheetBytes,
	})
	if err == nil {
		err = out.flush()
	}
	if err != nil {
		if errors.As(err, new(*workbook.Error)) { // nothing will read what was written so far
			err = errors.Join(err, out.Restart())
		}
		return err
	}
	found.Sheet, found.HiddenRows = result.Sheet, result.HiddenRows
	dbCtx, cancel := w.importer.txContext(ctx)
	defer cancel()
	return w.importer.store.SaveSheet(dbCtx, w.claim, out.size, found, append(slices.Clone(i.Warnings), sheetWarnings(i, found, result)...))
}

// sheetWarnings tells what of a workbook may not be as expected.
func sheetWarnings(i *roster.Import, found roster.Workbook, r workbook.Result) (list []roster.Warning) {
	var others []string
	for _, s := range found.Sheets {
		if !s.Hidden && s.Name != r.Sheet && s.Name != roster.InstructionsSheet { // which our template has
			others = append(others, s.Name)
		}
	}
	if i.Options.Sheet == "" && len(others) > 0 {
		const most = 10
		shown := fmt.Sprintf("%q", others[:min(len(others), most)])
		list = append(list, roster.Warning{Code: roster.WarnOtherSheets, Message: fmt.Sprintf(
			"The sheet %q was read. The workbook also has: %s. Send sheet=NAME (or choose it under File settings) to read another.", r.Sheet, strings.Trim(shown, "[]"))})
	}
	if r.HiddenRows > 0 {
		told := "1 hidden row of the sheet was read"
		if r.HiddenRows > 1 {
			told = fmt.Sprintf("%d hidden rows of the sheet were read", r.HiddenRows)
		}
		list = append(list, roster.Warning{Code: roster.WarnHiddenRows, Rows: r.HiddenRows, FirstRows: r.FirstRows,
			Message: told + ". Delete rows that you don't want to import."})
	}
	return list
}

// sheetWriter stores a converted sheet in chunks.
type sheetWriter struct {
	run      *importRun
	ctx      context.Context
	workbook roster.Workbook
	chunk    []byte
	seq      int
	size     int64
}

// Restart deletes what has been stored.
func (s *sheetWriter) Restart() error {
	s.chunk, s.seq, s.size = s.chunk[:0], 0, 0
	ctx, cancel := s.run.importer.txContext(s.ctx)
	defer cancel()
	return s.run.importer.store.BeginSheet(ctx, s.run.claim, s.workbook)
}

func (s *sheetWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := s.ctx.Err(); err != nil {
			return n, err
		}
		if s.chunk == nil {
			s.chunk = make([]byte, 0, storage.ChunkSize)
		}
		taken := min(len(p), storage.ChunkSize-len(s.chunk))
		s.chunk = append(s.chunk, p[:taken]...)
		p, n = p[taken:], n+taken
		if len(s.chunk) == storage.ChunkSize {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush stores the chunk being filled.
func (s *sheetWriter) flush() error {
	if len(s.chunk) == 0 {
		return nil
	}
	ctx, cancel := s.run.importer.txContext(s.ctx)
	defer cancel()
	if err := s.run.importer.store.AddSheetChunk(ctx, s.run.claim, s.seq, s.chunk); err != nil {
		return err
	}
	s.size += int64(len(s.chunk))
	s.chunk = s.chunk[:0]
	s.seq++
	return nil
}
