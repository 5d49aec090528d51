package jobs_test

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
)

// severable stands between a store and PostgreSQL and cuts every connection at
// a chosen message: before it arrives, or after PostgreSQL has had it and before
// the answer comes back, which is when a commit's fate is unknown.
type severable struct {
	url    string
	server string // network address of the real one

	mu     sync.Mutex
	left   int  // messages until the cut; below 0: never
	deaf   bool // cut after the message instead of before
	conns  map[net.Conn]bool
	severs int
	stop   func()
}

func newSeverable(t *testing.T, databaseURL string) *severable {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	port := q.Get("port")
	if port == "" {
		port = "5432"
	}
	dir := t.TempDir()
	s := &severable{server: filepath.Join(q.Get("host"), ".s.PGSQL."+port), left: -1, conns: map[net.Conn]bool{}}
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL."+port))
	if err != nil {
		t.Fatal(err)
	}
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	s.url = u.String()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	s.stop = func() { listener.Close(); s.cut() }
	return s
}

// cutAt arms the cut: at the n-th message from now.
func (s *severable) cutAt(n int, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.deaf = n, deaf
}

func (s *severable) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = map[net.Conn]bool{}
	s.left = -1
	s.severs++
}

func (s *severable) serve(client net.Conn) {
	server, err := net.Dial("unix", s.server)
	if err != nil {
		client.Close()
		return
	}
	s.mu.Lock()
	s.conns[client], s.conns[server] = true, true
	s.mu.Unlock()
	unheard := make(chan struct{}) // closed: the next answer does not come back
	go func() {
		defer client.Close()
		buf := make([]byte, 1<<20)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-unheard:
				s.cut()
				return
			default:
			}
			client.Write(buf[:n])
		}
	}()
	defer server.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		now, deaf := s.count()
		if now && !deaf {
			s.cut()
			return
		}
		if now {
			close(unheard)
		}
		server.Write(buf[:n])
	}
}

// count reports whether this message is the one.
func (s *severable) count() (now, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left < 0 {
		return false, false
	}
	s.left--
	return s.left < 0, s.deaf
}
