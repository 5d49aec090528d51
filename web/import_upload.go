package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/problem"
	"rollcall/internal/broadcast"
	"rollcall/roster"
)

const (
	// enqueueTimeout bounds enqueuing; if it fails, a worker finds the import
	// later by polling.
	enqueueTimeout = 500 * time.Millisecond
	// workWait is how long a response waits for the workers, so that a small
	// file shows its result at once.
	workWait = 2 * time.Second
	// drainBodyTimeout bounds how long the rest of a rejected upload is read.
	drainBodyTimeout = 30 * time.Second
)

// uploadView is the form that takes a file.
type uploadView struct {
	Problem       string // why the last attempt failed, "" on the first
	MaxBytes      int64
	InvitationTTL time.Duration
	Sources       []string       // known ones, as suggestions
	AdvancedOpen  bool           // the last attempt failed for an option under Advanced
	PasteOpen     bool           // it failed for pasted rows
	Corrects      *roster.Import // the import whose corrected error report is uploaded, nil for any other file
}

func (uploadView) pageMeta() pageMeta {
	return pageMeta{Template: "import_upload", Title: "Import users", Section: sectionUpload}
}

// Action is the path the form is submitted to.
func (v uploadView) Action() string {
	if v.Corrects != nil {
		return importPath(v.Corrects.ID) + "/corrections"
	}
	return "/admin/users/import"
}

// Encodings lists the supported encodings, the default first.
func (uploadView) Encodings() []choice { return encodings("") }

// Mapping is the column mapping of the corrected file, as JSON; "" by name.
func (v uploadView) Mapping() (string, error) {
	if v.Corrects == nil || v.Corrects.Options.Mapping == nil {
		return "", nil
	}
	mapping := map[string]roster.Headers{}
	for column, headers := range v.Corrects.Options.Mapping {
		mapping[column] = roster.Headers(headers)
	}
	text, err := json.Marshal(mapping)
	if err != nil {
		return "", fmt.Errorf("write mapping: %w", err)
	}
	return string(text), nil
}

// ValueMap is what values of the corrected file mean, as JSON; "" themselves. The
// report has the file's own values.
func (v uploadView) ValueMap() (string, error) {
	if v.Corrects == nil || v.Corrects.Options.ValueMap == nil {
		return "", nil
	}
	text, err := json.Marshal(v.Corrects.Options.ValueMap)
	if err != nil {
		return "", fmt.Errorf("write value map: %w", err)
	}
	return string(text), nil
}

func (s *Site) uploadForm(corrects *roster.Import, problem string) uploadView {
	return uploadView{Problem: problem, MaxBytes: s.deps.MaxUploadBytes, InvitationTTL: s.deps.InvitationTTL, Corrects: corrects}
}

// showForm answers with the form that takes a file.
func (s *Site) showForm(c *gin.Context, status int, admin *roster.User, v uploadView) (err error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), pageTimeout)
	defer cancel()
	if v.Sources, err = s.deps.Store.Sources(ctx); err != nil {
		return err
	}
	return s.show(c, status, admin, v)
}

func (s *Site) showUpload(c *gin.Context, admin *roster.User) error {
	return s.showForm(c, http.StatusOK, admin, s.uploadForm(nil, ""))
}

// showCorrections is the upload page for the corrected error report of an import.
func (s *Site) showCorrections(c *gin.Context, admin *roster.User) error {
	earlier, err := s.correctedImport(c)
	if err != nil {
		return err
	}
	return s.showForm(c, http.StatusOK, admin, s.uploadForm(earlier, ""))
}

// uploadProblems are errors that a person can fix; the form is shown again with
// the explanation.
var uploadProblems = map[problem.Code]string{
	problem.MissingFile:      "Choose a file or paste rows first.",
	problem.FileTooLarge:     "The file is too large for one import. Split it into smaller files and import them one at a time.",
	problem.UploadTooSlow:    "The upload was too slow and timed out. Try again on a faster connection.",
	problem.InvalidMultipart: "The upload was interrupted before it finished. Try again.",
	problem.InvalidParameter: "One of the options is invalid. Check your choices and try again.",
	problem.UnsupportedMedia: "The form data is invalid. Reload this page and try again.",
	problem.TooManyRequests:  "You have uploaded as much as is allowed on one day. Try again tomorrow.",
	problem.Busy:             "Too many large uploads are in progress. Try again in a few seconds.",
}

// advancedProblems are what is wrong with the options under Advanced.
var advancedProblems = map[string]string{
	"missing":     "To disable users who are missing from the file, also select “Update the name, role and department” for existing accounts.",
	"max_disable": "The safety limit must be a number of users or a percentage, such as 10 or 5%.",
	"source":      sourceProblem,
}

// sourceProblem says what a source may be called.
const sourceProblem = "The source can have up to 64 letters, digits, dots, underscores and hyphens, and must start with a letter or digit."

// pastedProblem is what is wrong with pasted rows, "" if it is something else.
func pastedProblem(p *problem.Problem) string {
	if len(p.Faults) == 0 || p.Faults[0].Parameter != "pasted" {
		return ""
	}
	return p.Faults[0].Detail
}

// advancedProblem is what is wrong with an option under Advanced, "" if it is
// none of those.
func advancedProblem(p *problem.Problem) string {
	if len(p.Faults) == 0 {
		return ""
	}
	return advancedProblems[p.Faults[0].Parameter]
}

// upload stores a file, enqueues its import and redirects to the import's page.
func (s *Site) upload(c *gin.Context, admin *roster.User) error { return s.receive(c, admin, nil) }

// uploadCorrections is upload for the corrected error report of the import
// named in the path. It links the two imports.
func (s *Site) uploadCorrections(c *gin.Context, admin *roster.User) error {
	earlier, err := s.correctedImport(c)
	if err != nil {
		return err
	}
	return s.receive(c, admin, earlier)
}

func (s *Site) correctedImport(c *gin.Context) (*roster.Import, error) {
	id, err := importID(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), pageTimeout)
	defer cancel()
	return s.deps.Store.Import(ctx, id)
}

func (s *Site) receive(c *gin.Context, admin *roster.User, corrects *roster.Import) error {
	received, err := s.uploads.Receive(c.Writer, c.Request, entry(c, admin), s.uploadRights(c.Request.Context()))
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		text, known := uploadProblems[p.Code]
		if !known {
			return err
		}
		s.drainBody(c)
		maps.Copy(c.Writer.Header(), p.Header)
		v := s.uploadForm(corrects, text)
		if advanced := advancedProblem(p); advanced != "" {
			v.Problem, v.AdvancedOpen = advanced, true
		}
		if pasted := pastedProblem(p); pasted != "" {
			v.Problem, v.PasteOpen = pasted, true
		}
		return s.showForm(c, p.Status, admin, v)
	}
	if err != nil {
		return err
	}
	ctx, id := c.Request.Context(), received.Import.ID
	s.enqueue(c, id, received.Dispatch)
	if corrects != nil {
		if err := s.deps.Store.LinkImports(ctx, id, corrects.ID); err != nil {
			return err
		}
	}
	s.awaitWork(ctx, id)
	seeOther(c, importPath(id))
	return nil
}

// drainBody reads the rest of a rejected upload, up to the accepted size: a
// browser that is still sending would not show the response.
func (s *Site) drainBody(c *gin.Context) {
	// Not supported: then the server's own deadlines apply.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(drainBodyTimeout))
	_, _ = io.CopyN(io.Discard, c.Request.Body, s.deps.MaxUploadBytes) // the response is the same whatever happens here
}

// enqueue tells the workers about an import. If that fails they find it a
// little later by polling: the committed row is what counts.
func (s *Site) enqueue(c *gin.Context, id uuid.UUID, dispatch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), enqueueTimeout)
	defer cancel()
	if err := s.deps.Queue.EnqueueImport(ctx, id, dispatch); err != nil {
		s.deps.Log.DebugContext(ctx, "failed to enqueue import; sweeper will retry", "error", err, "import_id", id, "request_id", requestID(c))
	}
}

// awaitWork returns when no worker is busy with the import any more, or after
// workWait. Errors are left to the page that follows.
func (s *Site) awaitWork(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, workWait)
	defer cancel()
	_, _ = s.deps.Broadcaster.Await(ctx, id, -1, broadcast.AtRest)
}
