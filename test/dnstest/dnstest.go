// Package dnstest is a DNS server whose answers a test chooses and changes,
// like an attacker's name server.
package dnstest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server is a name server on a UDP port of the loopback address.
type Server struct {
	conn net.PacketConn

	mu    sync.Mutex
	names map[string][]netip.Addr
	asked int
}

// Start starts a server that ends with the test. It knows no names yet.
func Start(tb testing.TB) *Server {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{conn: conn, names: map[string][]netip.Addr{}}
	var serving sync.WaitGroup
	serving.Go(s.serve)
	tb.Cleanup(func() { conn.Close(); serving.Wait() })
	return s
}

// Set sets the addresses that a name resolves to from now on.
func (s *Server) Set(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = nil
	for _, a := range addresses {
		s.names[name] = append(s.names[name], netip.MustParseAddr(a))
	}
}

// Asked returns how many queries were answered.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Resolver returns a resolver that asks only this server.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *Server) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer, ok := s.answer(packet[:n]); ok {
			_, _ = s.conn.WriteTo(answer, from) // a client without an answer retries
		}
	}
}

func (s *Server) answer(packet []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	q := m.Questions[0]
	s.mu.Lock()
	s.asked++
	addresses, known := s.names[strings.TrimSuffix(q.Name.String(), ".")]
	s.mu.Unlock()
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			body = &dnsmessage.AResource{A: a.As4()}
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: body,
		})
	}
	answer, err := m.Pack()
	return answer, err == nil
}
