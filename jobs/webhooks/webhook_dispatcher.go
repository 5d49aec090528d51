// Package webhooks delivers the webhooks stored in PostgreSQL: signed, retried
// with growing pauses for a day, every attempt recorded.
package webhooks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rollcall/apitypes"
	"rollcall/internal/backoff"
	"rollcall/storage"
	"rollcall/webhook"
)

// Config bounds the delivery of webhooks. Zero values take the default.
type Config struct {
	Concurrency  int           // deliveries in progress at most; default 16
	PollInterval time.Duration // between polls while no delivery is due; default 1 s
	Lease        time.Duration // one attempt and its recording at most; default 25 s
	RetryMin     time.Duration // wait after the first failure; triples; default 5 s
	RetryMax     time.Duration // at most; default 4 h
}

func (c *Config) setDefaults() {
	c.PollInterval = cmp.Or(c.PollInterval, time.Second)
	c.Lease = cmp.Or(c.Lease, 25*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 5*time.Second)
	c.RetryMax = cmp.Or(c.RetryMax, 4*time.Hour)
	c.Concurrency = cmp.Or(c.Concurrency, 16)
}

// opener opens sealed secrets; see auth.Sealer.
type opener interface {
	Open(sealed, context string) (string, error)
}

// webhookSender makes one attempt; see webhook.Sender.
type webhookSender interface {
	Post(ctx context.Context, m webhook.Message) webhook.Result
}

// Dispatcher delivers the webhooks stored in PostgreSQL. Any number may run
// side by side. A delivery may arrive twice, with the same webhook-id, if a
// worker dies between the response and its recording.
type Dispatcher struct {
	store   *storage.Store
	log     *slog.Logger
	metrics *Metrics
	sealer  opener
	sender  webhookSender
	cfg     Config
	wakeCh  chan struct{} // a delivery may be due, or a slot is free
}

// New makes a Dispatcher.
func New(store *storage.Store, log *slog.Logger, metrics *Metrics, sealer opener, sender webhookSender, cfg Config) *Dispatcher {
	cfg.setDefaults()
	return &Dispatcher{store, log, metrics, sealer, sender, cfg, make(chan struct{}, 1)}
}

// Wake makes Run look at once. It never blocks.
func (w *Dispatcher) Wake() {
	select {
	case w.wakeCh <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. Attempts that have begun are finished, which
// takes the time of one attempt at most.
func (w *Dispatcher) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	places := make(chan struct{}, w.cfg.Concurrency)
	for {
		due, err := w.claim(ctx, cap(places)-len(places))
		if err != nil && ctx.Err() == nil {
			w.log.Warn("failed to claim due webhooks", "error", err)
		}
		for _, d := range due {
			places <- struct{}{} // never blocks: only this loop fills slots
			under.Go(func() {
				w.deliver(context.WithoutCancel(ctx), d)
				<-places
				w.Wake() // the webhook's next delivery may go now
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wakeCh:
		case <-time.After(w.cfg.PollInterval):
		}
	}
}

func (w *Dispatcher) claim(ctx context.Context, room int) ([]storage.DueDelivery, error) {
	if room == 0 || ctx.Err() != nil {
		return nil, nil
	}
	// Claimed deliveries are made even while the worker stops. The claim itself
	// must not be cut off: if its answer is lost, the claim lasts until the
	// lease expires.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	disabled, err := w.store.PlanChangeDeliveries(ctx)
	for _, d := range disabled {
		w.logDisabled(w.log.With("webhook_id", d.ID), d.Reason)
	}
	due, claimErr := w.store.ClaimDeliveries(ctx, room, w.cfg.Lease)
	return due, errors.Join(err, claimErr)
}

// logDisabled tells that a receiver falls behind from now on.
func (w *Dispatcher) logDisabled(log *slog.Logger, reason storage.DisableReason) {
	log.Error("webhook disabled; changes of users are no longer sent to it", "reason", string(reason))
}

// deliver makes one attempt and records it. The lease bounds ctx: after that
// another worker makes the next attempt.
func (w *Dispatcher) deliver(ctx context.Context, d storage.DueDelivery) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease-w.cfg.Lease/10)
	defer cancel()
	log := w.log.With("webhook_id", d.WebhookID, "delivery_id", d.ID)
	if d.ImportID != nil {
		log = log.With("import_id", *d.ImportID)
	}
	outcome, result := w.try(ctx, log, d)
	now, disabled, err := w.store.RecordDelivery(ctx, outcome)
	switch {
	case errors.Is(err, storage.ErrClaimLost): // redelivery was requested, or the webhook is gone
	case err != nil:
		log.Warn("failed to record webhook attempt; it will be repeated", "error", err)
	case now == storage.DeliveryFailed:
		log.Warn("webhook delivery failed permanently", "outcome", result.Outcome, "status", result.Status, "tries", d.Tries)
	}
	if disabled {
		w.logDisabled(log, outcome.Disable)
	}
	w.metrics.attempts.WithLabelValues(string(result.Outcome)).Inc()
}

// try makes one attempt, for which changes of users are read anew.
func (w *Dispatcher) try(ctx context.Context, log *slog.Logger, d storage.DueDelivery) (storage.DeliveryOutcome, webhook.Result) {
	if d.ImportID == nil {
		body, err := w.changes(ctx, d)
		if reason := lost(err); reason != "" {
			unsent := webhook.Result{Outcome: webhook.Unsent}
			o := w.outcome(d, unsent)
			o.Status, o.Disable = storage.DeliveryFailed, reason
			return o, unsent
		}
		if err != nil {
			log.Warn("failed to read changes for a webhook; it will be tried again", "error", err)
			unsent := webhook.Result{Outcome: webhook.Unsent}
			return w.outcome(d, unsent), unsent
		}
		d.Body = body
	}
	result := w.attempt(ctx, log, d)
	return w.outcome(d, result), result
}

func (w *Dispatcher) changes(ctx context.Context, d storage.DueDelivery) ([]byte, error) {
	entries, next, err := w.store.DeliveredChanges(ctx, d)
	if err != nil {
		return nil, err
	}
	return apitypes.ChangesEventBody(entries, next)
}

// lost is why changes must not, or cannot, be sent any more; "" for other errors.
func lost(err error) storage.DisableReason {
	switch {
	case errors.Is(err, storage.ErrForbidden):
		return storage.DisabledForbidden
	case errors.Is(err, storage.ErrChangesExpired):
		return storage.DisabledExpired
	}
	return ""
}

func (w *Dispatcher) attempt(ctx context.Context, log *slog.Logger, d storage.DueDelivery) webhook.Result {
	secrets, err := w.secrets(d)
	if err != nil {
		log.Error("webhook secret cannot be decrypted; rotate it", "error", err)
		return webhook.Result{Outcome: webhook.Unsent}
	}
	return w.sender.Post(ctx, webhook.Message{URL: d.URL, ID: "msg_" + d.ID.String(), Body: d.Body, Secrets: secrets})
}

func (w *Dispatcher) secrets(d storage.DueDelivery) ([]string, error) {
	sealed := []string{d.Secret}
	if d.PreviousSecret != nil {
		sealed = append(sealed, *d.PreviousSecret)
	}
	secrets := make([]string, len(sealed))
	for i, s := range sealed {
		var err error
		if secrets[i], err = w.sealer.Open(s, webhook.SecretContext(d.WebhookID)); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// outcome decides what follows from an attempt.
func (w *Dispatcher) outcome(d storage.DueDelivery, r webhook.Result) storage.DeliveryOutcome {
	o := storage.DeliveryOutcome{
		ID: d.ID, Fence: d.Fence, Status: storage.DeliveryPending, Disable: storage.DisabledFailing,
		Attempt: storage.Attempt{Outcome: string(r.Outcome), Status: r.Status, TookMS: r.Took.Milliseconds()},
	}
	switch r.Outcome {
	case webhook.OK:
		o.Status = storage.DeliveryDelivered
	case webhook.Gone:
		o.Status, o.Disable = storage.DeliveryFailed, storage.DisabledGone
	default:
		o.Wait = max(backoff.Policy{First: w.cfg.RetryMin, Max: w.cfg.RetryMax, Factor: 3}.Delay(d.Tries), min(r.RetryAfter, w.cfg.RetryMax))
	}
	return o
}
