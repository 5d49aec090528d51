package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// template is GET …/import/template.csv: only the header, so that an example
// row cannot be imported by mistake.
func (a *API) template(c *gin.Context, _ caller) error {
	attach(c.Writer.Header(), csvType, "users-template.csv")
	return report.WriteTemplate(c.Writer, a.Attributes)
}

// templateWorkbook is GET …/import/template.xlsx.
func (a *API) templateWorkbook(c *gin.Context, _ caller) error {
	attach(c.Writer.Header(), xlsxType, "users-template.xlsx")
	return report.WriteTemplateWorkbook(c.Writer, a.Attributes)
}

// errorCatalog is GET …/import/errors.
func (a *API) errorCatalog(c *gin.Context, _ caller) error {
	return answerAll(a, c, roster.ErrorCatalog())
}

// errorReport is GET …/imports/{id}/errors.csv.
func (a *API) errorReport(c *gin.Context, by caller, i *roster.Import) error {
	return a.download(c, by, i, "errors", csvFile, a.Reports.WriteErrors)
}

// errorWorkbook is GET …/imports/{id}/errors.xlsx.
func (a *API) errorWorkbook(c *gin.Context, by caller, i *roster.Import) error {
	return a.download(c, by, i, "errors", xlsxFile, a.Reports.WriteErrorsWorkbook)
}

// results is GET …/imports/{id}/results.csv.
func (a *API) results(c *gin.Context, by caller, i *roster.Import) error {
	return a.download(c, by, i, "results", csvFile, a.Reports.WriteResults)
}

// download streams a report on an import. An error before the first byte is a
// problem response; a later one aborts the connection, so that a partial report
// is never taken for a complete one.
func (a *API) download(c *gin.Context, by caller, i *roster.Import, name string, kind fileKind, write func(context.Context, io.Writer, uuid.UUID) error) error {
	if i.Status.Ended() && !i.Purged() { // else there is nothing to download
		if err := a.auditDownload(c, by, i, name); err != nil {
			return err
		}
	}
	ctx, s := newStream(c)
	defer s.end()
	s.begin = func(h http.Header) {
		attach(h, kind.mediaType, strings.TrimSuffix(i.Filename, path.Ext(i.Filename))+"-"+name+kind.extension)
	}
	if err := write(ctx, s, i.ID); err != nil && !errors.Is(err, errHeadOnly) {
		return s.because(err)
	}
	return nil
}

// file is GET …/imports/{id}/file, with byte ranges.
func (a *API) file(c *gin.Context, by caller, i *roster.Import) error {
	if i.Purged() || i.FileErasedAt != nil {
		return storage.ErrPurged
	}
	if err := a.auditDownload(c, by, i, "file"); err != nil {
		return err
	}
	ctx, s := newStream(c)
	defer s.end()
	h := c.Writer.Header()
	mediaType := "text/csv" // in the encoding it was uploaded in
	if i.Workbook != nil {
		mediaType = "application/octet-stream"
	}
	attach(h, mediaType, i.Filename)
	h.Set("ETag", fmt.Sprintf(`"%x"`, i.SHA256))
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(s, c.Request, "", time.Time{}, &storedFile{open: func(offset int64) io.Reader {
		return a.Store.OpenUpload(ctx, i.ID, offset)
	}, size: i.Size})
	return nil
}

// auditDownload records that data of an import is about to be downloaded.
func (a *API) auditDownload(c *gin.Context, by caller, i *roster.Import, what string) error {
	if c.Request.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestTimeout)
	defer cancel()
	return a.Store.AuditDownload(ctx, i.ID, what, by.entry())
}

// storedFile reads an upload from any offset.
type storedFile struct {
	open   func(offset int64) io.Reader
	size   int64
	offset int64
	from   io.Reader // nil: not open at offset
}

func (f *storedFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of an upload")
	}
	f.offset, f.from = offset, nil
	return offset, nil
}

func (f *storedFile) Read(p []byte) (int, error) {
	if f.from == nil {
		f.from = f.open(f.offset)
	}
	n, err := f.from.Read(p)
	f.offset += int64(n)
	return n, err
}

// The Content-Types of generated files.
const (
	csvType  = "text/csv; charset=utf-8"
	xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// fileKind is a form of generated files.
type fileKind struct{ mediaType, extension string }

var (
	csvFile  = fileKind{csvType, ".csv"}
	xlsxFile = fileKind{xlsxType, ".xlsx"}
)

// attach makes the response a download that browsers never display.
func attach(h http.Header, mediaType, filename string) {
	h.Set("Content-Type", mediaType)
	// Non-ASCII names are encoded as in RFC 8187, so this cannot fail.
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filename}))
}
