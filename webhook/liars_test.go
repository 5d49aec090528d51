package webhook_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/webhook"
)

// TestReceiversThatLie: a receiver may send anything, not only valid HTTP. The
// attempt stays within its time and size limits, and ends with the outcome for
// the part that was understood.
func TestReceiversThatLie(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	yes := webhook.Result{Outcome: webhook.OK, Status: 200}
	nothing := webhook.Result{Outcome: webhook.NoAnswer}
	late := webhook.Result{Outcome: webhook.TimedOut}
	elsewhere := func(status int) webhook.Result {
		return webhook.Result{Outcome: webhook.Redirected, Status: status}
	}
	for name, c := range map[string]struct {
		says string
		then ending
		want webhook.Result
	}{
		"resets":                  {"", reset, nothing},
		"succeeds, then resets":   {ok + "Content-Length: 100\r\n\r\n", reset, yes},
		"breaks off in a header":  {ok + "Content-Le", hangUp, nothing},
		"drips a header":          {ok, drip("a"), late},
		"drips headers":           {ok, drip("X: a\r\n"), late},
		"drips a body":            {ok + "\r\n", drip("a"), yes},
		"pours out headers":       {ok, pour("X: a\r\n"), nothing},
		"pours out a header":      {ok + "X: ", pour("a"), nothing},
		"pours out a status":      {"HTTP/1.1 200 ", pour("a"), nothing},
		"pours out a body":        {ok + "\r\n", pour("a"), yes},
		"pours out a chunk size":  {ok + "Transfer-Encoding: chunked\r\n\r\n", pour("1"), yes},
		"pours out promises":      {"", pour("HTTP/1.1 103 Early Hints\r\nX: a\r\n\r\n"), nothing},
		"says to go on, no more":  {"HTTP/1.1 100 Continue\r\n\r\n", hold, late},
		"changes the protocol":    {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", pour("a"), webhook.Result{Outcome: webhook.Refused, Status: 101}},
		"claims an endless body":  {ok + "Content-Length: 9223372036854775807\r\n\r\n", hold, yes},
		"claims a negative body":  {ok + "Content-Length: -1\r\n\r\n", hangUp, nothing},
		"claims two lengths":      {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", hangUp, nothing},
		"says more than it says":  {ok + "Content-Length: 1\r\n\r\nabHTTP/1.1 410 Gone\r\n\r\n", hangUp, yes},
		"claims to be compressed": {ok + "Content-Encoding: gzip\r\n\r\nnot at all", hangUp, yes},
		"speaks another protocol": {"220 mail.example ESMTP\r\n", hold, nothing},
		"speaks TLS":              {"\x15\x03\x01\x00\x02\x02\x46", hangUp, nothing},
		"makes up a status":       {"HTTP/1.1 2000 OK\r\n\r\n", hangUp, nothing},
		"has an odd status":       {"HTTP/1.1 799 Odd\r\n\r\n", hangUp, webhook.Result{Outcome: webhook.Refused, Status: 799}},
		"asks to come in the past": {
			"HTTP/1.1 503 No\r\nRetry-After: -9223372036854775808\r\n\r\n", hangUp, webhook.Result{Outcome: webhook.Refused, Status: 503},
		},
		"leads to metadata":       {"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\n\r\n", hangUp, elsewhere(302)},
		"leads to a file":         {"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n\r\n", hangUp, elsewhere(301)},
		"leads to what is no URL": {"HTTP/1.1 308 Moved\r\nLocation: http://[::1\r\n\r\n", hangUp, elsewhere(308)},
		"leads nowhere":           {"HTTP/1.1 303 See Other\r\n\r\n", hangUp, elsewhere(303)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lie(t, c.says, c.then)
			sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "127.0.0.0/8"), Timeout: time.Second})
			began := time.Now()
			got := sender.Post(t.Context(), message("http://"+l.address))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if got.Took = 0; got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			select {
			case got := <-l.written: // most of it stayed in the kernel's buffers
				if got > 32<<20 {
					t.Errorf("%d bytes of the answer were taken", got)
				}
			case <-time.After(5 * time.Second):
				t.Error("the connection is still open")
			}
		})
	}
}

// ending is how a response continues, until it is done or the connection is
// closed.
type ending func(*liar)

// liar is the receiver's side of a connection.
type liar struct {
	*net.TCPConn
	address string
	written chan int64 // sent once the connection is closed
	n       int64
}

func (l *liar) Write(p []byte) (int, error) {
	n, err := l.TCPConn.Write(p)
	l.n += int64(n)
	return n, err
}

// lie responds to one request with these bytes and the given ending.
func lie(t *testing.T, says string, then ending) *liar {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	l := &liar{address: listener.Addr().String(), written: make(chan int64, 1)}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { conn.Close(); l.written <- l.n }()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		l.TCPConn = conn.(*net.TCPConn)
		if _, err := io.WriteString(l, says); err == nil {
			then(l)
		}
	}()
	return l
}

func hangUp(*liar) {}

// hold sends nothing more.
func hold(l *liar) { _, _ = io.Copy(io.Discard, l.TCPConn) }

// reset ends the connection with RST, once the response has arrived.
func reset(l *liar) {
	time.Sleep(50 * time.Millisecond)
	_ = l.SetLinger(0)
}

// drip sends the same bytes again and again, slowly.
func drip(what string) ending { return again([]byte(what), 50*time.Millisecond) }

// pour sends the same bytes again and again, as fast as they are read.
func pour(what string) ending { return again([]byte(strings.Repeat(what, 4<<10)), 0) }

func again(what []byte, pause time.Duration) ending {
	return func(l *liar) {
		for {
			if _, err := l.Write(what); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}
