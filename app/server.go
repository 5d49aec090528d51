package app

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Limits of every listener. Handlers that take longer extend their own
// deadline: uploads and long responses have a limit per piece, see
// upload.Limits and httpapi.
const (
	readHeader    = 10 * time.Second // request line and header
	readRequest   = 30 * time.Second // the whole request
	writeAnswer   = 2 * time.Minute  // from the end of the header to the end of the response
	idle          = 2 * time.Minute  // between two requests
	maxHeaderSize = 64 << 10         // bytes
)

// NewServer returns an http.Server with every limit set, so that a slow client
// cannot hold a connection, whether its request is accepted or rejected.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
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

// readDeadlines clears the read deadline once the request is read. While a
// handler works, net/http keeps reading to notice that the client leaves, and
// would mistake an expired deadline for that.
//
// The handler gets a copy of the request: net/http inspects the body of the
// original to decide how much of it to read before it responds. For a body of
// an unknown type it would wait for 256 kB, or until the client gives up,
// before it sends an error response.
func readDeadlines(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		if r.Body == nil || r.Body == http.NoBody {
			_ = conn.SetReadDeadline(time.Time{}) // not supported: then there is no deadline
		} else {
			own := *r
			own.Body = body{r.Body, conn}
			r = &own
		}
		handler.ServeHTTP(w, r)
	})
}

// body is a request body that clears the read deadline at its end.
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

// Secured sets the security headers of every response: pages, files, the API,
// unknown routes and failing handlers. A page that needs other values sets them
// in its handler. strict is for a server that browsers reach only over TLS.
func Secured(handler http.Handler, strict bool) http.Handler {
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
