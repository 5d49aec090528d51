package mail_test

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"rollcall/egress"
	"rollcall/internal/dnstest"
	"rollcall/internal/smtptest"
	"rollcall/mail"
)

// TestServerWithin: mail goes to an address within bounds only, whatever the
// server's name leads to at the time.
func TestServerWithin(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Config{})
	barred, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(s.Port())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { barred.Close() })
	go func() {
		if conn, err := barred.Accept(); err == nil {
			conn.Close()
			t.Error("the barred address was connected to")
		}
	}()
	within, err := egress.ParseAddresses("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dns := dnstest.Start(t)
	server := mail.Server{Host: "mx.example.com", Port: s.Port(), Security: mail.None, Within: &within}
	for _, c := range []struct {
		address string
		ok      bool
	}{{"127.0.0.1", true}, {"127.0.0.2", false}, {"::ffff:127.0.0.2", false}, {"169.254.169.254", false}, {"127.0.0.1", true}} {
		dns.Set("mx.example.com", c.address)
		pool := newPool(t, server, mail.PoolConfig{Resolver: dns.Resolver()}) // each opens a connection of its own
		err := pool.Send(t.Context(), message())
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", c.address, err)
		}
		if c.ok {
			continue
		}
		if f := failureOf(t, err); !errors.Is(f, egress.ErrAddress) || f.Class != mail.ServerDown || !f.Configuration || f.Stage != mail.StageConnect {
			t.Errorf("%s: %+v", c.address, f)
		}
	}
	server.Host = "127.0.0.2"
	if server.Validate() == nil {
		t.Error("an address out of bounds is valid")
	}
	if server.Within = nil; server.Validate() != nil {
		t.Error("without bounds an address is not valid")
	}
}
