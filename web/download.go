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

	"rollcall/roster"
)

// writeTimeout ends a download whose client takes nothing for so long.
const writeTimeout = time.Minute

// attachment is a file on its way to the browser. Its headers go out with the
// first byte, so until then an error can still become a page.
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
	if err := a.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
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
func (s *Site) downloadErrors(c *gin.Context, _ *roster.User) error {
	return s.downloadReport(c, "errors", s.Reports.WriteErrors)
}

// downloadResults sends what became of every row.
func (s *Site) downloadResults(c *gin.Context, _ *roster.User) error {
	return s.downloadReport(c, "results", s.Reports.WriteResults)
}

func (s *Site) downloadReport(c *gin.Context, kind string, write func(context.Context, io.Writer, uuid.UUID) error) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(i.Filename, path.Ext(i.Filename))
	return write(ctx, newAttachment(c, base+"-"+kind+".csv", "text/csv; charset=utf-8"), id)
}

// downloadTemplate sends an empty file with the columns an import knows.
func (s *Site) downloadTemplate(c *gin.Context, _ *roster.User) error {
	columns := make([]string, len(roster.Columns))
	for i, column := range roster.Columns {
		columns[i] = string(column)
	}
	_, err := io.WriteString(newAttachment(c, "users.csv", "text/csv; charset=utf-8"), strings.Join(columns, ",")+"\r\n")
	return err
}
