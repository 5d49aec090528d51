package jobs_test

import (
	"sync"
	"testing"

	"rollcall/internal/proxytest"
)

// severable stands between a store and PostgreSQL and cuts every connection at
// a chosen message: before it arrives, or after PostgreSQL has had it and before
// the answer comes back, which is when a commit's fate is unknown.
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
	s.Judge(s.count)
	return s
}

// cutAt arms the cut: at the n-th message from now.
func (s *severable) cutAt(n int, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.deaf = n, deaf
}

// count says whether this message is the one.
func (s *severable) count([]byte) proxytest.Verdict {
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
