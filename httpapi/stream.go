package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/storage"
)

// errHeadOnly ends a report for a client that requested only the headers.
var errHeadOnly = errors.New("headers only")

// errStalled is the cause of a stream that ended because nothing was written
// for too long.
var errStalled = errors.New("nothing to send for too long")

// stallTimeout bounds the time between two pieces of a stream.
const stallTimeout = time.Minute

// stream is an [http.ResponseWriter] for long responses: each piece has its own
// write timeout, and the source must keep producing.
type stream struct {
	gin.ResponseWriter
	conn   *http.ResponseController
	head   bool
	begin  func(http.Header) // called before the first byte; nil for none
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
}

// newStream makes a stream of the response. The context ends if the stream
// stalls; the caller must call end.
func newStream(c *gin.Context) (context.Context, *stream) {
	ctx, cancel := context.WithCancelCause(c.Request.Context())
	s := &stream{
		ResponseWriter: c.Writer, conn: http.NewResponseController(c.Writer), head: c.Request.Method == http.MethodHead,
		ctx: ctx, cancel: cancel,
	}
	s.watch = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	_ = s.conn.SetWriteDeadline(time.Now().Add(stallTimeout + writeTimeout))
	return ctx, s
}

func (s *stream) end() {
	s.watch.Stop()
	s.cancel(nil)
}

// because distinguishes a stall from a client that left.
func (s *stream) because(err error) error {
	if errors.Is(context.Cause(s.ctx), errStalled) {
		return errors.Join(storage.ErrUnavailable, errStalled, err)
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
	s.watch.Stop() // while the client is receiving
	defer s.watch.Reset(stallTimeout)
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.ResponseWriter.Write(p)
}
