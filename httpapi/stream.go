package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/storage"
)

// errHeadOnly ends a report whose client asked for nothing but its headers.
var errHeadOnly = errors.New("headers only")

// errStandstill is why a stream ended that nothing was written to for too long.
var errStandstill = errors.New("nothing to send for too long")

// standstill bounds the time between two pieces of a stream.
const standstill = time.Minute

// stream is a [http.ResponseWriter] for long answers: each piece has its own
// time to get through, and what feeds it must keep feeding.
type stream struct {
	gin.ResponseWriter
	conn   *http.ResponseController
	head   bool
	begin  func(http.Header) // before the first byte; nil for nothing
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
}

// newStream makes a stream of the answer. The context ends when it stands
// still; end must be called.
func newStream(c *gin.Context) (context.Context, *stream) {
	ctx, cancel := context.WithCancelCause(c.Request.Context())
	s := &stream{
		ResponseWriter: c.Writer, conn: http.NewResponseController(c.Writer), head: c.Request.Method == http.MethodHead,
		ctx: ctx, cancel: cancel,
	}
	s.watch = time.AfterFunc(standstill, func() { cancel(errStandstill) })
	_ = s.conn.SetWriteDeadline(time.Now().Add(standstill + answering))
	return ctx, s
}

func (s *stream) end() {
	s.watch.Stop()
	s.cancel(nil)
}

// because tells a standstill apart from a client that left.
func (s *stream) because(err error) error {
	if errors.Is(context.Cause(s.ctx), errStandstill) {
		return errors.Join(storage.ErrUnavailable, errStandstill, err)
	}
	return err
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.Written() && s.begin != nil {
		s.begin(s.Header())
	}
	if s.head {
		s.WriteHeaderNow()
		return 0, errHeadOnly
	}
	s.watch.Stop() // while it is the client's turn
	defer s.watch.Reset(standstill)
	_ = s.conn.SetWriteDeadline(time.Now().Add(answering))
	return s.ResponseWriter.Write(p)
}
