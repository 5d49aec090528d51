package httpapi

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/httpapi/problem"
	"rollcall/jobs/bounces"
	"rollcall/mail/bounce"
	"rollcall/mail/bounce/events"
)

// maxMailEvents bounds a request of a mail provider, in bytes.
const maxMailEvents = 2 << 20

// postmarkUser is the user name in the URL that Postmark is given.
const postmarkUser = "rollcall"

// retryEarlyBounce is when a provider is asked to repeat a report that came before the
// sending of its mail was recorded.
const retryEarlyBounce = 30 * time.Second

// bounceRecorder records what providers report; see bounces.Recorder.
type bounceRecorder interface {
	Reports(ctx context.Context, reports ...bounce.Report) error
}

// MailEvents are the mail providers whose events are accepted. The zero value accepts
// none.
type MailEvents struct {
	Recorder         bounceRecorder   // required with any of the others
	SES              *events.SNS      // nil: off
	SendGrid         *ecdsa.PublicKey // nil: off
	PostmarkPassword string           // "": off
}

// readEvents authenticates a request and returns the reports in it.
type readEvents func(r *http.Request, body []byte) ([]bounce.Report, error)

// mailEvents is POST /hooks/mail/{provider}. A provider that is not configured is
// unknown.
func (a *API) mailEvents(enabled bool, read readEvents) handler {
	return func(c *gin.Context, _ caller) error {
		if !enabled {
			return problem.New(problem.NotFound, "Events of this mail provider are not configured.")
		}
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(requestTimeout))
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxMailEvents))
		if err != nil {
			return problem.New(problem.InvalidParameter, "The body must be complete, and at most %d bytes.", maxMailEvents)
		}
		reports, err := read(c.Request, body)
		switch {
		case errors.Is(err, events.ErrUnsigned):
			return problem.New(problem.InvalidSignature, "The request is not signed by the mail provider, or not for this installation.")
		case errors.Is(err, events.ErrMalformed):
			return problem.New(problem.InvalidParameter, "The body is not in the format of the mail provider.")
		case err != nil:
			a.Log.WarnContext(c.Request.Context(), "failed to reach the mail provider", "error", err, "request_id", c.Writer.Header().Get("X-Request-Id"))
			return problem.New(problem.Unavailable, "The mail provider cannot be reached. Try again later.").RetryAfter(retryEarlyBounce)
		}
		if err := a.MailEvents.Recorder.Reports(c.Request.Context(), reports...); errors.Is(err, bounces.ErrEarly) {
			return problem.New(problem.Unavailable, "The email is still being recorded as sent. Try again later.").RetryAfter(retryEarlyBounce)
		} else if err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return nil
	}
}

func (a *API) readSES(r *http.Request, body []byte) ([]bounce.Report, error) {
	return a.MailEvents.SES.Read(r.Context(), body)
}

func (a *API) readSendGrid(r *http.Request, body []byte) ([]bounce.Report, error) {
	return events.ReadSendGrid(a.MailEvents.SendGrid, r.Header.Get(events.SendGridSignatureHeader), r.Header.Get(events.SendGridTimestampHeader), body)
}

func (a *API) readPostmark(r *http.Request, body []byte) ([]bounce.Report, error) {
	user, password, _ := r.BasicAuth()
	if user != postmarkUser || !auth.SameHash(auth.HashToken(password), auth.HashToken(a.MailEvents.PostmarkPassword)) {
		return nil, events.ErrUnsigned
	}
	return events.ReadPostmark(body)
}
