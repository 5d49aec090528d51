package mail_test

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"rollcall/internal/egress"
	"rollcall/mail"
	"rollcall/test/dnstest"
	"rollcall/test/smtptest"
)

// TestServerAllowed: mail goes only to an allowed address, whatever the server's
// name resolves to at the time.
func TestServerAllowed(t *testing.T) {
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

// TestServerEncrypted: if encryption is required, a server on another machine
// is valid only with TLS, with and without a sign-in, and no connection to any
// other is opened.
func TestServerEncrypted(t *testing.T) {
	t.Parallel()
	any, err := egress.ParseAddresses("true")
	if err != nil {
		t.Fatal(err)
	}
	encrypted := any.OnlyEncrypted()
	for _, c := range []struct {
		host     string
		security mail.Security
		within   *egress.Addresses
		want     error
	}{
		{"mx.example.com", mail.None, &encrypted, mail.ErrUnencrypted},
		{"10.0.0.1", mail.None, &encrypted, mail.ErrUnencrypted},
		{"mx.example.com", mail.STARTTLS, &encrypted, nil},
		{"mx.example.com", mail.Implicit, &encrypted, nil},
		{"localhost", mail.None, &encrypted, nil},
		{"127.0.0.1", mail.None, &encrypted, nil},
		{"mx.example.com", mail.None, &any, nil},
		{"mx.example.com", mail.None, nil, nil}, // from the environment, checked at startup
	} {
		server := mail.Server{Host: c.host, Security: c.security, Within: c.within}
		if err := server.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s, %s: %v, want %v", c.host, c.security, err, c.want)
		}
		pool, err := mail.NewPool(server, mail.PoolConfig{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s, %s: a pool is made with %v, want %v", c.host, c.security, err, c.want)
		}
		if err == nil {
			pool.Close()
		}
	}
	server := mail.Server{Host: "mx.example.com", Security: mail.None, User: "u", Password: "p", Within: &encrypted}
	if err := server.Validate(); !errors.Is(err, mail.ErrPlainCredentials) {
		t.Errorf("a password in clear: %v", err)
	}
}
