package upload

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"rollcall/storage"
)

// requireClosingBoundary lets a body end with its closing boundary only. To package multipart
// one that ends behind any other boundary is as good, and the options that were
// to follow would be lost. The line end is one that clients may leave out.
func requireClosingBoundary(body io.Reader) io.Reader {
	return io.MultiReader(body, strings.NewReader("\r\n"), unexpectedEOF{})
}

// unexpectedEOF is where a body ends too early.
type unexpectedEOF struct{}

func (unexpectedEOF) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// pace is how slowly a body may come.
type pace struct {
	readTimeoutPerMiB time.Duration // for each MiB
	rate              int64         // bytes a second over the whole body, after readTimeoutPerMiB
}

// deadlineReader gives every MiB of a body the same time to arrive, and the whole
// body as long as the least rate allows.
type deadlineReader struct {
	from io.Reader
	conn *http.ResponseController
	pace
	began time.Time // when the first byte could have come; the zero time before
	read  int64     // bytes so far
	left  int64     // bytes until the deadline moves
}

func (p *deadlineReader) Read(b []byte) (int, error) {
	if p.left <= 0 {
		now := time.Now()
		if p.began.IsZero() {
			p.began = now
		}
		p.left = storage.ChunkSize
		deadline := now.Add(p.readTimeoutPerMiB)
		whole := p.began.Add(p.readTimeoutPerMiB + time.Duration(p.read+storage.ChunkSize)*time.Second/time.Duration(p.rate))
		if whole.Before(deadline) {
			deadline = whole
		}
		// ErrNotSupported is all it can be, and then the server's own
		// deadlines have to do.
		_ = p.conn.SetReadDeadline(deadline)
	}
	n, err := p.from.Read(b)
	p.read += int64(n)
	p.left -= int64(n)
	return n, err
}

// waited tells that the client was kept waiting, which is not its fault.
func (p *deadlineReader) waited(d time.Duration) {
	p.left = 0
	if !p.began.IsZero() {
		p.began = p.began.Add(d)
	}
}

// maxPartHead bounds the header of a part, in bytes, together with what comes
// before the first boundary. How many lines it may have is set in go.mod
// (multipartmaxheaders).
const maxPartHead = 16 << 10

// errPartHead: the header of a part is over the limit.
var errPartHead = errors.New("part header too large")

// headLimiter bounds what is read while the header of a part is: package
// multipart would keep megabytes of it.
type headLimiter struct {
	from io.Reader
	head bool // a header is being read
	left int  // of it, in bytes
}

func (l *headLimiter) Read(b []byte) (int, error) {
	if !l.head {
		return l.from.Read(b)
	}
	if l.left == 0 {
		return 0, errPartHead
	}
	n, err := l.from.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
