package storage

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// leaveGrace is how long what is being done on a connection to a former primary may
// still take. A server that is there has answered by then.
const leaveGrace = 2 * time.Second

// openConns are the open connections of a pool. After a server has fallen silent, each
// of them would make one more call wait until its context ends. And once another
// server has taken over, nothing may go on with the former one.
type openConns struct {
	mu  sync.Mutex
	all map[*deadlineConn]struct{}
}

func newOpenConns() *openConns { return &openConns{all: map[*deadlineConn]struct{}{}} }

func (o *openConns) add(l *deadlineConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[l] = struct{}{}
}

func (o *openConns) remove(l *deadlineConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, l)
}

// suspect is called when a host let a deadline pass. No connection that was opened to
// it before that is used again.
func (o *openConns) suspect(host int) {
	silence := time.Now().Add(-cancelGrace) // it began before
	o.mu.Lock()
	defer o.mu.Unlock()
	for l := range o.all {
		if l.host == host && l.opened.Before(silence) {
			l.stale.Store(true)
		}
	}
}

// leaveOthers is called when a host was found to have taken over: what is being done
// on the others ends soon.
func (o *openConns) leaveOthers(host int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for l := range o.all {
		if l.host != host {
			l.leave(leaveGrace)
		}
	}
}

// watchedConn tells when a deadline passed without a word from the server.
type watchedConn struct {
	net.Conn
	silent func() // nil until the connection is established
}

func (c *watchedConn) Read(b []byte) (n int, err error) {
	n, err = c.Conn.Read(b)
	if c.silent != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		c.silent()
	}
	return n, err
}
