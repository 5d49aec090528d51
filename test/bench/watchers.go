//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	watchedRows = 100_000
	pollers     = 2_000
	listeners   = 500
	arriving    = time.Second      // within which all of them connect
	settling    = 24 * time.Second // until they poll as often as they are asked to
	clientReads = 32 << 10         // bytes at a time: a response in about two reads
)

// settling is how long clients wait before the import begins; a run with few
// rows is not a measurement, and need not wait for them to settle.
func (l *env) settling() time.Duration {
	return max(2*arriving, min(settling, time.Duration(10*l.scale*float64(settling))))
}

// measureWatching times an import that thousands of clients follow against one
// without any, and how long each poll takes. The clients run on the same
// machine, in this process: their own work slows the import too.
func measureWatching(ctx context.Context, l *env) ([]Line, error) {
	rows, polling, listening := l.scaled(watchedRows), l.scaled(pollers), l.scaled(listeners)
	path, err := l.file(ctx, fileOf{rows: rows, errors: 1})
	if err != nil {
		return nil, err
	}
	speed := Line{
		What: fmt.Sprintf("import of %s rows while %s poll and %s listen", thousands(rows), thousands(polling), thousands(listening)),
		Unit: "rows/s", Against: "no clients", Wanted: atLeastTimes(0.8),
	}
	waits := Line{What: "99th percentile of a poll meanwhile", Unit: "ms", Wanted: atMost(50)}
	faults := Line{What: "polls and streams that failed", Unit: "errors", Wanted: atMost(0)}
	err = l.rounds(3, func(int) error {
		alone, _, err := l.timeWatched(ctx, path, 0, 0)
		if err != nil {
			return err
		}
		watched, c, err := l.timeWatched(ctx, path, polling, listening)
		if err != nil {
			return err
		}
		speed.Ours = append(speed.Ours, float64(rows)/watched.Seconds())
		speed.Theirs = append(speed.Theirs, float64(rows)/alone.Seconds())
		waits.Ours = append(waits.Ours, c.percentile(99))
		waits.Note = fmt.Sprintf("of %s polls; half of them took at most %.1f ms", thousands(len(c.took)), c.percentile(50))
		faults.Ours = append(faults.Ours, float64(len(c.errs)))
		if len(c.errs) > 0 {
			faults.Note = c.errs[0].Error()
		}
		return nil
	})
	return []Line{speed, waits, faults}, err
}

// timeWatched imports a file while clients follow it, and returns how long the
// worker took. The worker starts the import when all clients are connected.
func (l *env) timeWatched(ctx context.Context, path string, polling, listening int) (took time.Duration, _ *audience, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	c, err := gather(ctx, h.url, polling+listening)
	if err != nil {
		return 0, nil, err
	}
	defer c.leave()
	if err := syscall.Kill(h.workers[0].PID(), syscall.SIGSTOP); err != nil {
		return 0, nil, err
	}
	i, err := h.post(ctx, path, 0)
	if err != nil {
		return 0, nil, err
	}
	self := "/api/admin/users/imports/" + i.ID
	for n, conn := range c.conns {
		if n < polling {
			c.all.Go(func() { c.note(c.poll(conn, self)) })
		} else {
			c.all.Go(func() { c.note(c.listen(conn, self+"/events")) })
		}
	}
	time.Sleep(l.settling()) // without clients too, whatever the wait does to the machine
	c.counts.Store(true)
	if err := syscall.Kill(h.workers[0].PID(), syscall.SIGCONT); err != nil {
		return 0, nil, err
	}
	i, err = h.until(ctx, i, atRest)
	close(c.over)
	c.all.Wait()
	return i.FinishedAt.Sub(i.StartedAt), c, err
}

// audience are clients that follow an import, each over its own connection.
type audience struct {
	host   string
	conns  []net.Conn
	counts atomic.Bool   // whether polls count: the import is running
	over   chan struct{} // closed when the import has ended, to stop polling
	all    sync.WaitGroup

	mu   sync.Mutex
	took []time.Duration // of each poll that counts
	errs []error
}

// gather connects n clients.
func gather(ctx context.Context, url string, n int) (*audience, error) {
	c := &audience{host: strings.TrimPrefix(url, "http://"), over: make(chan struct{})}
	for range n {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.host)
		if err != nil {
			c.leave()
			return nil, fmt.Errorf("connect client %d: %w", len(c.conns), err)
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *audience) leave() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *audience) note(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, err)
	}
}

// percentile returns a percentile of the polls' duration in milliseconds.
func (c *audience) percentile(n int) float64 {
	if len(c.took) == 0 {
		return 0
	}
	slices.Sort(c.took)
	return float64(c.took[min(len(c.took)-1, len(c.took)*n/100)].Microseconds()) / 1000
}

// ask sends a request and reads the head of the response.
func (c *audience) ask(conn net.Conn, r *bufio.Reader, path, header string) (*http.Response, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", path, c.host, adminToken, header)
	if err != nil {
		return nil, err
	}
	return http.ReadResponse(r, nil)
}

// poll requests the import as often as Retry-After says, with the ETag of the
// last response, until the import has ended.
func (c *audience) poll(conn net.Conn, path string) error {
	r := bufio.NewReaderSize(conn, clientReads)
	var took []time.Duration
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.took = append(c.took, took...)
	}()
	match := ""
	for next := rand.N(arriving); ; {
		select {
		case <-c.over:
			return nil
		case <-time.After(next):
		}
		counts, began := c.counts.Load(), time.Now()
		answer, err := c.ask(conn, r, path, match)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if counts {
			took = append(took, time.Since(began))
		}
		switch answer.StatusCode {
		case http.StatusOK:
			match = "If-None-Match: " + answer.Header.Get("ETag") + "\r\n"
		case http.StatusNotModified:
		default:
			return fmt.Errorf("a poll was answered %s", answer.Status)
		}
		if told := answer.Header.Get("Retry-After"); told != "" {
			seconds, err := strconv.Atoi(told)
			if err != nil {
				return err
			}
			next = time.Duration(seconds) * time.Second
		}
	}
}

// listen reads an event stream, which must end by itself.
func (c *audience) listen(conn net.Conn, path string) error {
	time.Sleep(rand.N(arriving))
	answer, err := c.ask(conn, bufio.NewReader(conn), path, "")
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a listener was answered %s", answer.Status)
	}
	lines := bufio.NewReaderSize(answer.Body, 16<<10)
	for ended := false; ; {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == io.EOF && ended:
			return nil
		case err == io.EOF:
			return errors.New("a stream stopped before its end")
		case err != nil:
			return err
		}
		ended = ended || string(line) == "event: end\n"
	}
}
