package jobs_test

import (
	"context"
	"log/slog"
	"regexp"
	"rollcall/jobs/importer"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/internal/egress"
	"rollcall/jobs/invitations"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

const (
	secret    = "a secret that is long enough for every test"
	publicURL = "https://rollcall.example"
	sender    = "no-reply@rollcall.example"
)

// post configures how mail is sent; zero: without a server, with the defaults.
type post struct {
	server *mail.Server
	within *egress.Addresses
	pool   mail.PoolConfig
	size   int
	rate   float64
	log    *slog.Logger // nil: quiet
	signer interface {
		InvitationToken(userID uuid.UUID, generation int) string
	}
	invitations.Config
}

// mailEnv is a test environment that sends mail. There is no Redis in it: the
// test makes the rounds itself, and the time between them passes at once.
type mailEnv struct {
	*testEnv
	signer *auth.Signer
	sealer *auth.Sealer
	mailer *invitations.Sender
}

func newMailEnv(h *testEnv, p post) *mailEnv {
	h.Helper()
	o := &mailEnv{testEnv: h}
	var err error
	if o.signer, err = auth.NewSigner(secret); err != nil {
		h.Fatal(err)
	}
	if o.sealer, err = auth.NewSealer(secret); err != nil {
		h.Fatal(err)
	}
	if p.signer == nil {
		p.signer = o.signer
	}
	if p.log == nil {
		p.log = quiet()
	}
	if p.size == 0 {
		p.size = 4
	}
	p.Brand, p.PublicURL = "SecureAI", publicURL
	p.pool.Size = p.size
	transport := invitations.NewSMTPTransport(settings.New(h.store, o.sealer, settings.Defaults{
		Server: p.server, From: sender, Rate: p.rate, Within: p.within,
	}), p.log, p.pool)
	h.Cleanup(transport.Close)
	o.mailer = invitations.NewSender(h.store, p.log, h.meter.Invitations, p.signer, transport, p.Config)
	return o
}

// open makes the mailer record until the test ends.
func (o *mailEnv) open() *mailEnv {
	o.background(o.mailer.RunHandoffs)
	o.background(o.mailer.RunOutcomes)
	return o
}

// background runs run until the test ends.
func (o *mailEnv) background(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		run(ctx)
	}()
	o.Cleanup(func() { cancel(); <-closed })
}

// plain is the server without TLS and sign-in.
func plain(s *smtptest.Server) *mail.Server {
	return &mail.Server{Host: smtptest.Host, Port: s.Port(), Security: mail.None}
}

// invite imports n people to be invited.
func (h *testEnv) invite(n int) *roster.Import {
	h.Helper()
	return h.run(h.importer(importer.Config{}), h.upload(people(n), roster.Options{SendInvitations: true}).ID)
}

// dispatch claims what is due, as a dispatcher does.
func (o *mailEnv) dispatch() []storage.DueInvitation {
	o.Helper()
	due, err := o.store.DispatchInvitations(o.Context(), storage.DispatchLimit{Limit: 100, Again: time.Minute})
	if err != nil {
		o.Fatal(err)
	}
	return due
}

// round sends what is due, and returns how many invitations that were.
func (o *mailEnv) round() int {
	o.Helper()
	due := o.dispatch()
	for _, d := range due {
		if err := o.mailer.Send(o.Context(), d); err != nil {
			o.Error(err)
		}
	}
	return len(due)
}

// later makes time pass for all invitations.
func (h *testEnv) later(d time.Duration) {
	h.Helper()
	for _, query := range []string{
		`UPDATE invitations SET due_at = due_at - make_interval(secs => $1), claimed_until = claimed_until - make_interval(secs => $1)`,
		`UPDATE mail_state SET paused_until = paused_until - make_interval(secs => $1)`,
	} {
		if _, err := h.store.DB().Exec(query, d.Seconds()); err != nil {
			h.Fatal(err)
		}
	}
}

// invitation is a row of the outbox.
type invitation struct {
	User               uuid.UUID
	Status             string
	Attempts, Unknowns int
	Claimed, Due       bool
	Error              string
}

// invitations reads the outbox in the order of the file.
func (h *testEnv) invitations() (all []invitation) {
	h.Helper()
	rows, err := h.store.DB().Query(`
		SELECT user_id, status, attempts, ambiguous_sends, claimed_until IS NOT NULL, due_at <= now(), COALESCE(last_error, '')
		  FROM invitations ORDER BY user_id`)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var i invitation
		if err := rows.Scan(&i.User, &i.Status, &i.Attempts, &i.Unknowns, &i.Claimed, &i.Due, &i.Error); err != nil {
			h.Fatal(err)
		}
		all = append(all, i)
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	return all
}

// want fails the test unless the only invitation is as wanted.
func (h *testEnv) want(when string, want invitation) {
	h.Helper()
	got := h.invitations()[0]
	want.User = got.User
	if !strings.Contains(got.Error, want.Error) || (want.Error == "") != (got.Error == "") {
		h.Fatalf("%s: the error shown is %q, want %q", when, got.Error, want.Error)
	}
	want.Error = got.Error
	if want.Status != "pending" {
		want.Due = got.Due // irrelevant
	}
	if got != want {
		h.Fatalf("%s: %+v, want %+v", when, got, want)
	}
}

// settled fails the test if the counters of an import are wrong.
func (h *testEnv) settled(id uuid.UUID, want roster.InvitationCounts) {
	h.Helper()
	if got := h.read(id).Invitations; got != want {
		h.Errorf("invitations counted %+v, want %+v", got, want)
	}
	if drift, err := h.store.InvitationCountsDrift(h.Context(), id); err != nil || drift != "" {
		h.Errorf("counters are off: %s (%v)", drift, err)
	}
}

func (h *testEnv) paused() storage.MailState {
	h.Helper()
	m, err := h.store.MailState(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return m
}

var (
	idLine = regexp.MustCompile(`(?mi)^Message-ID: <([^>]+)>`)
	linkIn = regexp.MustCompile(`https://rollcall\.example/invite/(\S+)`)
)

// marks are what makes two mails the same mail to recipients.
type marks struct{ id, token string }

func marksOf(t testing.TB, m smtptest.Mail) marks {
	t.Helper()
	// Quoted-printable breaks long lines.
	text := strings.ReplaceAll(m.Data, "=\r\n", "")
	id, link := idLine.FindStringSubmatch(text), linkIn.FindStringSubmatch(text)
	if id == nil || link == nil {
		t.Fatalf("a mail without Message-ID or link:\n%s", m.Data)
	}
	return marks{id[1], strings.Trim(link[1], `"<>`)}
}
