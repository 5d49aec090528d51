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
	"rollcall/httpapi/upload"
	"rollcall/roster"
)

const (
	// ringTimeout bounds the ring of the bell: a worker looks by itself, later.
	ringTimeout = 500 * time.Millisecond
	// workWait is how long an answer waits for the workers, so that a small
	// file shows its result at once.
	workWait = 2 * time.Second
	// swallowTime bounds how long the rest of a refused upload is read.
	swallowTime = 30 * time.Second
)

// uploadView is the form that takes a file.
type uploadView struct {
	Problem       string // why the last try did not work, "" on the first
	MaxBytes      int64
	InvitationTTL time.Duration
	Mends         *roster.Import // the import whose mended error report is asked for, nil for any file
}

func (uploadView) frame() frame {
	return frame{Template: "upload", Title: "Import users", Section: sectionUpload}
}

// Action is where the form goes.
func (v uploadView) Action() string {
	if v.Mends != nil {
		return importPath(v.Mends.ID) + "/mended"
	}
	return "/admin/users/import"
}

// Encodings are the encodings to choose from, the usual one first.
func (uploadView) Encodings() []choice { return encodings("") }

// Mapping is where the mended file's columns are found, as JSON; "" by name.
func (v uploadView) Mapping() (string, error) {
	if v.Mends == nil || v.Mends.Options.Mapping == nil {
		return "", nil
	}
	text, err := json.Marshal(v.Mends.Options.Mapping)
	if err != nil {
		return "", fmt.Errorf("write mapping: %w", err)
	}
	return string(text), nil
}

func (s *Site) uploadForm(mends *roster.Import, problem string) uploadView {
	return uploadView{Problem: problem, MaxBytes: s.MaxUploadBytes, InvitationTTL: s.InvitationTTL, Mends: mends}
}

func (s *Site) showUpload(c *gin.Context, admin *roster.User) error {
	return s.show(c, http.StatusOK, admin, s.uploadForm(nil, ""))
}

// showMended is the upload page for the mended error report of an import.
func (s *Site) showMended(c *gin.Context, admin *roster.User) error {
	earlier, err := s.mended(c)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, admin, s.uploadForm(earlier, ""))
}

// uploadProblems are what a person can do something about; the form is shown
// again and says so.
var uploadProblems = map[problem.Code]string{
	problem.MissingFile:      "Choose a file first.",
	problem.FileTooLarge:     "The file is larger than one import may be. Split it, and import the parts one after another.",
	problem.UploadTooSlow:    "The file arrived too slowly, so the upload was broken off. Try again on a better connection.",
	problem.InvalidMultipart: "The upload was broken off before the file was complete. Try again.",
	problem.InvalidParameter: "One of the choices is not one we offer. Choose again.",
	problem.UnsupportedMedia: "The form arrived in a way we cannot read. Load this page again and repeat.",
	problem.Busy:             "Several large files are arriving at this moment. Try again in a few seconds.",
}

// upload takes a file, tells the workers and leads to the import's page.
func (s *Site) upload(c *gin.Context, admin *roster.User) error { return s.receive(c, admin, nil) }

// uploadMended is upload for the mended error report of the import that the
// path names, and links the two.
func (s *Site) uploadMended(c *gin.Context, admin *roster.User) error {
	earlier, err := s.mended(c)
	if err != nil {
		return err
	}
	return s.receive(c, admin, earlier)
}

func (s *Site) mended(c *gin.Context) (*roster.Import, error) {
	id, err := importID(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), pageTimeout)
	defer cancel()
	return s.Store.Import(ctx, id)
}

func (s *Site) receive(c *gin.Context, admin *roster.User, mends *roster.Import) error {
	received, err := s.uploads.Receive(c.Writer, c.Request, entry(c, admin), upload.Webhooks{})
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		text, known := uploadProblems[p.Code]
		if !known {
			return err
		}
		s.swallow(c)
		maps.Copy(c.Writer.Header(), p.Header)
		return s.show(c, p.Status, admin, s.uploadForm(mends, text))
	}
	if err != nil {
		return err
	}
	ctx, id := c.Request.Context(), received.Import.ID
	s.ring(c, id, received.Dispatch)
	if mends != nil {
		if err := s.Store.FollowImport(ctx, id, mends.ID); err != nil {
			return err
		}
	}
	s.awaitWork(ctx, id)
	seeOther(c, importPath(id))
	return nil
}

// swallow reads what is left of a refused upload, up to the size of one that
// would not be: a browser that is still sending does not show the answer.
func (s *Site) swallow(c *gin.Context) {
	// Not supported: then the server's own deadlines have to do.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(swallowTime))
	_, _ = io.CopyN(io.Discard, c.Request.Body, s.MaxUploadBytes) // whatever comes of it, the answer stands
}

// ring tells the workers about an import. If that fails they find it by
// themselves, a little later: what counts is committed.
func (s *Site) ring(c *gin.Context, id uuid.UUID, dispatch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), ringTimeout)
	defer cancel()
	if err := s.Bell.RingImport(ctx, id, dispatch); err != nil {
		s.Log.WarnContext(ctx, "ringing the bell failed", "error", err, "import_id", id, "request_id", requestID(c))
	}
}

// awaitWork returns when no worker is busy with the import any more, or after
// workWait. Errors are left to the page that follows.
func (s *Site) awaitWork(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, workWait)
	defer cancel()
	changed, stop := s.Watcher.Watch(id)
	defer stop()
	for {
		if i, err := s.Store.Import(ctx, id); err != nil || !i.Status.Working() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
