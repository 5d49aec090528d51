package app

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Limits of every listener. What takes longer moves its own deadline: uploads
// and answers are given so long a piece, see upload.Limits and httpapi.
const (
	readHeader    = 10 * time.Second // request line and header
	readRequest   = 30 * time.Second // all of a request
	writeAnswer   = 2 * time.Minute  // from the end of the header to the end of the answer
	idle          = 2 * time.Minute  // between two requests
	maxHeaderSize = 64 << 10         // bytes
)

// newServer is an http.Server with every limit set: no client holds a
// connection by being slow, whether its request is taken or refused.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           readDeadlines(handler),
		ReadHeaderTimeout: readHeader,
		ReadTimeout:       readRequest,
		WriteTimeout:      writeAnswer,
		IdleTimeout:       idle,
		MaxHeaderBytes:    maxHeaderSize,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// readDeadlines ends the deadline for reading with the request. While a handler
// works, net/http reads on to see the client leave, and would take a deadline
// that passes then for its leaving.
//
// The handler gets a request of its own: net/http looks at the body of the one
// it has made to decide what of it to read before it answers. Of a body it does
// not know it would wait for 256 kB, or for the end of the client's patience,
// before a refusal goes out.
func readDeadlines(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		if r.Body == nil || r.Body == http.NoBody {
			_ = conn.SetReadDeadline(time.Time{}) // not supported: then there is none
		} else {
			own := *r
			own.Body = body{r.Body, conn}
			r = &own
		}
		handler.ServeHTTP(w, r)
	})
}

// body is the body of a request whose end ends the deadline for reading it.
type body struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// secured sets what every answer tells the browser, whoever gives it: a page, a
// file, the API, the router that finds nothing, a handler that fails. Where a
// page needs more, its handler says so by a header of its own. strict is for a
// server that browsers reach over TLS only.
func secured(handler http.Handler, strict bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if strict {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		handler.ServeHTTP(w, r)
	})
}
