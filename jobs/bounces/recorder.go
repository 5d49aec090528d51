// Package bounces records mails that come back: it verifies their tokens and changes
// the invitations. Reports arrive in three ways, which all end in a [Recorder]: over
// SMTP at the worker ([Listener]), from a mail server's pipe (`rollcall bounce`), and
// from mail providers (POST /hooks/mail/…).
package bounces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/mail/bounce"
	"rollcall/storage"
)

// ErrEarly: the mail came back before its sending was recorded. The report has to be
// delivered again, some seconds later.
var ErrEarly = errors.New("the mail is still being recorded as sent")

// verifier checks tokens; see auth.Signer.
type verifier interface {
	ParseBounceToken(token string) (userID uuid.UUID, generation int, ok bool)
}

// Recorder records reports. It is safe for concurrent use.
type Recorder struct {
	store   *storage.Store
	tokens  verifier
	reports *prometheus.CounterVec
}

// resultForeign is the result of a report without a genuine token.
const resultForeign = "foreign"

// Metrics are the metrics of reports.
type Metrics struct{ reports *prometheus.CounterVec }

// NewMetrics registers the metrics; with nil they are not registered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_bounces_total", Help: "Reports about returned or delayed mails, by what became of them; foreign: not about a mail of this installation.",
	}, []string{"result"})}
	for _, result := range []storage.BounceResult{storage.BounceRecorded, storage.BounceDelayed, storage.BounceIgnored, storage.BounceEarly, resultForeign} {
		m.reports.WithLabelValues(string(result))
	}
	if reg != nil {
		reg.MustRegister(m.reports)
	}
	return m
}

// NewRecorder makes a Recorder.
func NewRecorder(store *storage.Store, tokens verifier, metrics *Metrics) *Recorder {
	return &Recorder{store: store, tokens: tokens, reports: metrics.reports}
}

// Genuine reports whether an address contains a token of this installation.
func (r *Recorder) Genuine(address string) bool {
	for _, token := range bounce.Tokens(address) {
		if _, _, ok := r.tokens.ParseBounceToken(token); ok {
			return true
		}
	}
	return false
}

// Mail reads a returned mail and records it. recipients are those of its envelope; if
// there are none, the mail's headers have to show its recipient. A mail that is not
// about one of ours is no error. [ErrEarly] and errors of the database pass.
func (r *Recorder) Mail(ctx context.Context, from io.Reader, recipients ...string) error {
	report, err := parse(from)
	if err != nil && !errors.Is(err, bounce.ErrUnreadable) {
		return err
	}
	if len(recipients) == 0 {
		return r.Reports(ctx, report)
	}
	reports := make([]bounce.Report, len(recipients))
	for i, recipient := range recipients {
		reports[i] = report
		reports[i].Tokens = bounce.Tokens(recipient)
	}
	return r.Reports(ctx, reports...)
}

// parse turns a panic into an error, so that the mail is kept where it is delivered
// from: what it holds is not ours to print.
func parse(from io.Reader) (report bounce.Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T while reading a mail\n%s", p, debug.Stack())
		}
	}()
	return bounce.Parse(from)
}

// reportsAtOnce are recorded in one transaction.
const reportsAtOnce = 500

// Reports records reports. Each is about the first genuine one of its tokens.
func (r *Recorder) Reports(ctx context.Context, reports ...bounce.Report) (err error) {
	for len(reports) > 0 {
		n := min(len(reports), reportsAtOnce)
		err = errors.Join(err, r.record(ctx, reports[:n]))
		reports = reports[n:]
	}
	return err
}

func (r *Recorder) record(ctx context.Context, reports []bounce.Report) error {
	var found []storage.Bounce
	for _, report := range reports {
		b, ok := r.verified(report)
		switch {
		case !ok:
			r.reports.WithLabelValues(resultForeign).Inc()
		case report.Verdict == bounce.None:
			r.reports.WithLabelValues(string(storage.BounceIgnored)).Inc()
		default:
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return nil
	}
	results, err := r.store.RecordBounces(ctx, found)
	if err != nil {
		return err
	}
	for _, result := range results {
		r.reports.WithLabelValues(string(result)).Inc()
		if result == storage.BounceEarly {
			err = ErrEarly
		}
	}
	return err
}

// verified returns what a report is about.
func (r *Recorder) verified(report bounce.Report) (storage.Bounce, bool) {
	for _, token := range report.Tokens {
		if id, generation, ok := r.tokens.ParseBounceToken(token); ok {
			return storage.Bounce{
				UserID: id, Generation: int32(generation), Permanent: report.Verdict == bounce.Permanent, Reason: report.Reason,
			}, true
		}
	}
	return storage.Bounce{}, false
}
