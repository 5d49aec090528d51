package mail_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/egress"
	"rollcall/mail"
	"rollcall/test/smtptest"
)

// TestPrivatePortsLookAlike: the failure does not reveal whether a port in the
// private network is closed or open for something other than mail. A mail
// server there works as usual, and its rejections are shown.
func TestPrivatePortsLookAlike(t *testing.T) {
	t.Parallel()
	private, err := egress.ParseAddresses("true")
	if err != nil {
		t.Fatal(err)
	}
	tell := func(port int, security mail.Security) (told []any) {
		t.Helper()
		server := mail.Server{Host: "127.0.0.1", Port: port, Security: security, Within: &private}
		f := failureOf(t, newPool(t, server, mail.PoolConfig{}).Send(t.Context(), message()))
		return []any{f.Class, f.Stage, f.Configuration, f.Code, f.Enhanced, f.Reply, f.Error(), f.Advice()}
	}
	want := tell(1, mail.None) // closed
	for name, banner := range map[string]string{
		"SSH":           "SSH-2.0-OpenSSH_9.9\r\n",
		"FTP":           "220 (vsFTPd 3.0.5)\r\n500 What?\r\n500 What?\r\n",
		"not now":       "421 4.3.2 Too many connections\r\n",
		"hangs up":      "",
		"HTTP":          "HTTP/1.1 400 Bad Request\r\n\r\n",
		"PostgreSQL":    "R\x00\x00\x00\x08\x00\x00\x00\x03",
		"TLS handshake": "\x16\x03\x01\x00\x2f\x01",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte(banner))
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = conn.Read(make([]byte, 1000))
				_ = conn.Close()
			}
		}()
		for _, security := range []mail.Security{mail.STARTTLS, mail.Implicit, mail.None} {
			if diff := cmp.Diff(want, tell(listener.Addr().(*net.TCPAddr).Port, security)); diff != "" {
				t.Errorf("%s, %s, beside a closed port:\n%s", name, security, diff)
			}
		}
	}

	smtp := smtptest.Start(t, smtptest.Config{Script: reply("RCPT", "550 5.1.1 No such user")})
	server := mail.Server{Host: "127.0.0.1", Port: smtp.Port(), Security: mail.None, Within: &private}
	f := failureOf(t, newPool(t, server, mail.PoolConfig{}).Send(t.Context(), message()))
	if f.Code != 550 || f.Reply != "No such user" || f.Concealed() {
		t.Errorf("a mail server's refusal: %+v", f)
	}
}
