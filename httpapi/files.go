package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/header"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// template is GET …/import/template.csv: the header and nothing else, so that
// nobody imports an example.
func (a *API) template(c *gin.Context, _ caller) error {
	header := make([]string, len(roster.Columns))
	for k, column := range roster.Columns {
		header[k] = string(column)
	}
	attach(c.Writer.Header(), csvType, "users-template.csv")
	w := tabular.NewWriter(c.Writer, tabular.WriterOptions{Mark: true})
	if err := w.Write(header); err != nil {
		return err
	}
	return w.Flush()
}

// catalogue is GET …/import/errors.
func (a *API) catalogue(c *gin.Context, _ caller) error {
	return answerList(a, c, roster.Catalogue(), "")
}

// errorReport is GET …/imports/{id}/errors.csv.
func (a *API) errorReport(c *gin.Context, _ caller, i *roster.Import) error {
	return a.download(c, i, "errors", a.Reports.WriteErrors)
}

// results is GET …/imports/{id}/results.csv.
func (a *API) results(c *gin.Context, _ caller, i *roster.Import) error {
	return a.download(c, i, "results", a.Reports.WriteResults)
}

// download streams a report on an import. An error before the first byte is
// answered as a problem; one after it breaks the connection off, so that half a
// report is never taken for a whole one.
func (a *API) download(c *gin.Context, i *roster.Import, name string, write func(context.Context, io.Writer, uuid.UUID) error) error {
	ctx, s := newStream(c)
	defer s.end()
	s.begin = func(h http.Header) {
		attach(h, csvType, strings.TrimSuffix(i.Filename, path.Ext(i.Filename))+"-"+name+".csv")
	}
	if err := write(ctx, s, i.ID); err != nil && !errors.Is(err, errHeadOnly) {
		return s.because(err)
	}
	return nil
}

// file is GET …/imports/{id}/file, with byte ranges.
func (a *API) file(c *gin.Context, _ caller, i *roster.Import) error {
	if i.Purged() {
		return storage.ErrPurged
	}
	ctx, s := newStream(c)
	defer s.end()
	h := c.Writer.Header()
	attach(h, "text/csv", i.Filename) // in the encoding of whoever sent it
	h.Set("ETag", fmt.Sprintf(`"%x"`, i.SHA256))
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(s, c.Request, "", time.Time{}, &storedFile{open: func(offset int64) io.Reader {
		return a.Store.OpenUpload(ctx, i.ID, offset)
	}, size: i.Size})
	return nil
}

// storedFile reads an upload from wherever it is sought to.
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

// csvType is the Content-Type of the CSV files that we write.
const csvType = "text/csv; charset=utf-8"

// attach makes the answer a file to keep, never to show.
func attach(h http.Header, mediaType, filename string) {
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", header.Disposition(filename))
}
