package mail_test

import (
	"context"
	"strings"
	"testing"
	"time"

	gomail "github.com/wneessen/go-mail"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

const benchConnections = 4

// BenchmarkSend compares ways to send the same rendered invitation over four
// connections to a server that accepts everything. Rendering is included.
func BenchmarkSend(b *testing.B) {
	b.Run("pool", benchmarkPool)
	b.Run("go-mail-kept-open", benchmarkGoMail)
}

func perConnection(b *testing.B, server *smtptest.Server, work func(next func() bool)) {
	b.Helper()
	jobs := make(chan struct{}, b.N)
	for range b.N {
		jobs <- struct{}{}
	}
	close(jobs)
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	for range benchConnections {
		go func() {
			work(func() bool { _, more := <-jobs; return more })
			done <- struct{}{}
		}()
	}
	for range benchConnections {
		<-done
	}
	b.StopTimer()
	if server.Accepted() != b.N {
		b.Fatalf("%d of %d mails arrived", server.Accepted(), b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

func benchmarkPool(b *testing.B) {
	server := smtptest.Start(b, smtptest.Config{Discard: true})
	pool := newPool(b, plain(server), mail.PoolConfig{Size: benchConnections})
	perConnection(b, server, func(next func() bool) {
		for next() {
			if err := pool.Send(context.Background(), render(b, invitation())); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchmarkGoMail(b *testing.B) {
	server := smtptest.Start(b, smtptest.Config{Discard: true})
	perConnection(b, server, func(next func() bool) {
		client, err := gomail.NewClient(smtptest.Host, gomail.WithPort(server.Port()),
			gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithTimeout(10*time.Second))
		if err != nil {
			b.Error(err)
			return
		}
		if err := client.DialWithContext(context.Background()); err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = client.Close() }()
		for next() {
			rendered := render(b, invitation())
			msg := gomail.NewMsg()
			_ = msg.From(rendered.From)
			_ = msg.To(rendered.To)
			msg.Subject(rendered.Subject)
			msg.SetBodyString(gomail.TypeTextPlain, rendered.Text)
			msg.AddAlternativeString(gomail.TypeTextHTML, rendered.HTML)
			if err := client.Send(msg); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRenderInvitation(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if m := render(b, invitation()); !strings.Contains(m.HTML, "Ada") {
			b.Fatal("not rendered")
		}
	}
}
