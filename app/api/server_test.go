package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/app"
)

// serveWith serves a handler with the limits of every listener, but shorter.
func serveWith(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := app.NewServer(handler, slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 || server.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", server)
	}
	server.ReadHeaderTimeout, server.IdleTimeout = brief, brief
	server.ReadTimeout, server.WriteTimeout = 2*brief, 2*brief
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return listener.Addr().String()
}

const brief = 150 * time.Millisecond

// TestSlowClientsAreLetGo: the connection ends whatever part of a request does
// not arrive, and if the client does not read the response.
func TestSlowClientsAreLetGo(t *testing.T) {
	t.Parallel()
	address := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			io.Copy(io.Discard, r.Body)
		case "/refuse":
			w.WriteHeader(http.StatusUnauthorized)
		case "/long":
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	})
	for name, c := range map[string]struct {
		send    string
		dribble bool // continues, byte by byte
		deaf    bool // reads nothing
	}{
		"nothing":                    {"", false, false},
		"half a header":              {"GET / HTTP/1.1\r\nHost: x\r\n", false, false},
		"a header that never ends":   {"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", true, false},
		"no body":                    {"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n", false, false},
		"a body that never ends":     {"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n", true, false},
		"the body of a refused one":  {"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n", true, false},
		"chunks of a refused one":    {"POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", false, false},
		"nothing after an answer":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, false},
		"an answer that is not read": {"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, c.send)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			gone := make(chan error, 1)
			go func() {
				if c.deaf {
					time.Sleep(5 * brief)
				}
				_, err := io.Copy(io.Discard, conn)
				gone <- err
			}()
			for {
				select {
				case err := <-gone:
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("the connection is still open")
					}
					return
				case <-time.After(brief / 5):
					if c.dribble {
						io.WriteString(conn, "x")
					}
				}
			}
		})
	}
}

// TestRefusalsAreToldAtOnce: a client that sends more than the server reads
// gets its response before it has sent everything and, with Expect:
// 100-continue, without being asked for the body.
func TestRefusalsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	address := serveWith(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	for name, header := range map[string]string{
		"a large body":     "Content-Length: 300000000\r\n",
		"one asked for":    "Content-Length: 9\r\nExpect: 100-continue\r\n",
		"a large one, too": "Content-Length: 300000000\r\nExpect: 100-continue\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n", header)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if took := time.Since(began); answer.StatusCode != http.StatusRequestEntityTooLarge || !answer.Close || took > brief {
				t.Errorf("%s after %s, to be closed: %t", answer.Status, took, answer.Close)
			}
		})
	}
}

// TestWaitingIsNotSlow: a handler that waits longer than the read deadline does
// not see its client as gone.
func TestWaitingIsNotSlow(t *testing.T) {
	t.Parallel()
	address := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			return
		case <-time.After(4 * brief):
		}
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		fmt.Fprint(w, "waited")
	})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", request, err)
			continue
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "waited" {
			t.Errorf("%q: %q", request, body)
		}
	}
}

// TestHeadersHaveALimit: headers of every client are limited in bytes.
func TestHeadersHaveALimit(t *testing.T) {
	t.Parallel()
	address := serveWith(t, func(http.ResponseWriter, *http.Request) {})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-A: %s\r\n\r\n", strings.Repeat("a", 128<<10))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 128 KiB: %d", res.StatusCode)
	}
}

// TestMessageBoundaries: a request with two contradicting lengths is rejected,
// and a chunked one ends where its chunks do, whatever length it also claims:
// no byte of one request becomes part of another (request smuggling).
func TestMessageBoundaries(t *testing.T) {
	t.Parallel()
	address := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d;", r.URL.Path, n)
	})
	const post = "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for sent, want := range map[string]string{
		post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab":                                                "400 ",
		post + "Content-Length: +1\r\n\r\na":                                                                     "400 ",
		post + "Content-Length: 1, 1\r\n\r\na":                                                                   "400 ",
		post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                                               "501 ",
		post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n":                      "501 ",
		post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n": "200 /a 3;",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, sent)
		answer, _ := io.ReadAll(conn) // to its end, or until the connection is closed
		conn.Close()
		status, body, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), "\r\n\r\n")
		got := status[:min(4, len(status))]
		if strings.Contains(want, ";") {
			got += body
		}
		if got != want || strings.Count(string(answer), "HTTP/1.1 ") != 1 {
			t.Errorf("%q was answered\n%s\nwant %q", sent, answer, want)
		}
	}
}
