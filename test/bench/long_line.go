//go:build unix

package main

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// longLine passes connections on to PostgreSQL, which takes a while each way. It
// counts how often somebody waited for an answer.
type longLine struct {
	listener        net.Listener
	network, target string
	delay           time.Duration // one way
	trips           atomic.Int64
	all             sync.WaitGroup

	mu   sync.Mutex
	open []net.Conn
}

// openLongLine returns the line and the URL of the database that leads over it.
func openLongLine(databaseURL string, delay time.Duration) (*longLine, string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, "", err
	}
	l := &longLine{network: "tcp", target: u.Host, delay: delay}
	query := u.Query()
	if directory := query.Get("host"); directory != "" {
		l.network, l.target = "unix", filepath.Join(directory, ".s.PGSQL."+query.Get("port"))
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, "", err
	}
	query.Del("host")
	query.Del("port")
	query.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.listener.Addr().String(), query.Encode()
	l.all.Go(l.accept)
	return l, u.String(), nil
}

// count returns the round trips so far; 0 for no line.
func (l *longLine) count() int64 {
	if l == nil {
		return 0
	}
	return l.trips.Load()
}

func (l *longLine) close() error {
	err := l.listener.Close()
	l.mu.Lock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.all.Wait()
	return err
}

func (l *longLine) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(l.network, l.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l.mu.Lock()
		l.open = append(l.open, client, server)
		l.mu.Unlock()
		answered := new(atomic.Bool)
		answered.Store(true)
		l.all.Go(func() {
			l.carry(client, server, func() {
				if answered.Swap(false) {
					l.trips.Add(1)
				}
			})
		})
		l.all.Go(func() { l.carry(server, client, func() { answered.Store(true) }) })
	}
}

// carry copies one way until either end closes; heard is called for each piece.
func (l *longLine) carry(from, to net.Conn, heard func()) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1000)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			heard()
			pieces <- piece{append([]byte(nil), buffer[:n]...), time.Now().Add(l.delay)}
		}
		if err != nil {
			close(pieces)
			writing.Wait()
			return
		}
	}
}
