package web

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
	"rollcall/web/respond"
)

// fileKind is a form of files that are downloaded.
type fileKind struct{ contentType, extension string }

var (
	csvFile  = fileKind{"text/csv; charset=utf-8", ".csv"}
	xlsxFile = fileKind{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"}
)

// attachment is a file download. Its headers are sent with the first byte, so
// until then an error can still become a page.
type attachment struct {
	c           *gin.Context
	control     *http.ResponseController
	name        string
	contentType string
	begun       bool
}

func newAttachment(c *gin.Context, name, contentType string) *attachment {
	return &attachment{c: c, control: http.NewResponseController(c.Writer), name: name, contentType: contentType}
}

func (a *attachment) Write(p []byte) (int, error) {
	a.begin()
	if err := a.control.SetWriteDeadline(time.Now().Add(respond.WriteTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("bound the download: %w", err)
	}
	return a.c.Writer.Write(p)
}

// Flush sends what has been written so far.
func (a *attachment) Flush() { a.c.Writer.Flush() }

func (a *attachment) begin() {
	if a.begun {
		return
	}
	a.begun = true
	a.c.Header("Content-Type", a.contentType)
	// RFC 6266; names beyond ASCII as in RFC 8187.
	a.c.Header("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.name}))
	a.c.Status(http.StatusOK)
}

// downloadErrors sends the error report.
func (s *Site) downloadErrors(c *gin.Context, admin *roster.User) error {
	return s.downloadReport(c, admin, "errors", csvFile, s.deps.Reports.WriteErrors)
}

// downloadErrorsWorkbook sends the error report as a workbook.
func (s *Site) downloadErrorsWorkbook(c *gin.Context, admin *roster.User) error {
	return s.downloadReport(c, admin, "errors", xlsxFile, s.deps.Reports.WriteErrorsWorkbook)
}

// downloadResults sends the result of every row.
func (s *Site) downloadResults(c *gin.Context, admin *roster.User) error {
	return s.downloadReport(c, admin, "results", csvFile, s.deps.Reports.WriteResults)
}

func (s *Site) downloadReport(c *gin.Context, admin *roster.User, name string, kind fileKind, write func(context.Context, io.Writer, uuid.UUID) error) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if i.Status.Ended() && !i.Purged() && c.Request.Method != http.MethodHead { // else there is nothing to download
		if err := s.deps.Store.AuditDownload(ctx, id, name, entry(c, admin)); err != nil {
			return err
		}
	}
	base := strings.TrimSuffix(i.Filename, path.Ext(i.Filename))
	return write(ctx, newAttachment(c, base+"-"+name+kind.extension, kind.contentType), id)
}

// downloadTemplate sends an empty file with the columns that most files have.
func (s *Site) downloadTemplate(c *gin.Context, _ *roster.User) error {
	return report.WriteTemplate(newAttachment(c, "users"+csvFile.extension, csvFile.contentType), s.deps.Attributes)
}

// downloadTemplateWorkbook sends an empty workbook with all columns and with
// instructions.
func (s *Site) downloadTemplateWorkbook(c *gin.Context, _ *roster.User) error {
	return report.WriteTemplateWorkbook(newAttachment(c, "users"+xlsxFile.extension, xlsxFile.contentType), s.deps.Attributes)
}
