package jobs_test

import (
	"sync"
	"testing"

	"rollcall/test/proxytest"
)

// severable is a proxy to PostgreSQL that cuts every connection at a chosen
// message: before it arrives, or after PostgreSQL has received it and before
// the answer comes back, when the outcome of a commit is unknown.
type severable struct {
	*proxytest.Proxy
	url string

	mu     sync.Mutex
	left   int  // messages until the cut; below 0: never
	deaf   bool // cut after the message instead of before
	severs int
}

func newSeverable(t *testing.T, databaseURL string) *severable {
	t.Helper()
	s := &severable{left: -1}
	s.Proxy, s.url = proxytest.Postgres(t, databaseURL)
	s.Filter(s.count)
	return s
}

// cutAt arms the cut for the n-th message from now.
func (s *severable) cutAt(n int, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.deaf = n, deaf
}

// count reports whether to cut at this message.
func (s *severable) count([]byte) proxytest.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left < 0 {
		return proxytest.Pass
	}
	s.left--
	if s.left >= 0 {
		return proxytest.Pass
	}
	s.severs++
	if s.deaf {
		return proxytest.CutAfter
	}
	return proxytest.CutBefore
}
