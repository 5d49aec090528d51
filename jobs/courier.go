package jobs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall/storage"
	"rollcall/webhook"
)

// CourierConfig bounds the delivery of webhooks. Zero values take the default.
type CourierConfig struct {
	AtOnce   int           // deliveries under way at most; default 16
	Idle     time.Duration // how often to look while nothing is due; default 1 s
	Lease    time.Duration // one attempt and its recording at most; default 25 s
	RetryMin time.Duration // wait after the first failure, which triples; default 5 s
	RetryMax time.Duration // at most; default 4 h
}

func (c *CourierConfig) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Idle, time.Second)
	def(&c.Lease, 25*time.Second)
	def(&c.RetryMin, 5*time.Second)
	def(&c.RetryMax, 4*time.Hour)
	if c.AtOnce == 0 {
		c.AtOnce = 16
	}
}

// poster makes one attempt; see webhook.Sender.
type poster interface {
	Post(ctx context.Context, m webhook.Message) webhook.Result
}

// Courier delivers the webhooks that wait in PostgreSQL. Any number may run side
// by side. A delivery may arrive twice, where a worker dies between the answer
// and its recording; it has the same webhook-id then.
type Courier struct {
	store  *storage.Store
	log    *slog.Logger
	meter  *Metrics
	sealer resealer
	sender poster
	cfg    CourierConfig
	hint   chan struct{} // something may be due, or a place is free
}

// NewCourier makes a Courier.
func NewCourier(store *storage.Store, log *slog.Logger, meter *Metrics, sealer resealer, sender poster, cfg CourierConfig) *Courier {
	cfg.fill()
	return &Courier{store, log, meter, sealer, sender, cfg, make(chan struct{}, 1)}
}

// Wake makes Run look at once. It never blocks.
func (c *Courier) Wake() {
	select {
	case c.hint <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends; attempts that have begun by then are finished,
// which takes the time of one attempt at the most.
func (c *Courier) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	if err := c.reseal(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("stored secrets could not be sealed anew, the next start tries again", "error", err)
	}
	places := make(chan struct{}, c.cfg.AtOnce)
	for {
		due, err := c.claim(ctx, cap(places)-len(places))
		if err != nil && ctx.Err() == nil {
			c.log.Warn("webhooks could not be looked up", "error", err)
		}
		for _, d := range due {
			places <- struct{}{} // there is room: only this loop takes places
			under.Go(func() {
				c.deliver(context.WithoutCancel(ctx), d)
				<-places
				c.Wake() // the webhook's next one may go now
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-c.hint:
		case <-time.After(c.cfg.Idle):
		}
	}
}

func (c *Courier) claim(ctx context.Context, room int) ([]storage.DueDelivery, error) {
	if room == 0 || ctx.Err() != nil {
		return nil, nil
	}
	// What is claimed is delivered, though the worker be stopping: with its
	// answer lost a claim would stand until its lease is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return c.store.ClaimDeliveries(ctx, room, c.cfg.Lease)
}

// deliver makes one attempt and records it. The context is bounded by the lease:
// behind that somebody else makes the next attempt.
func (c *Courier) deliver(ctx context.Context, d storage.DueDelivery) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Lease-c.cfg.Lease/10)
	defer cancel()
	log := c.log.With("webhook_id", d.WebhookID, "delivery_id", d.ID, "import_id", d.ImportID)
	result := c.attempt(ctx, log, d)
	now, err := c.store.RecordDelivery(ctx, c.outcome(d, result))
	switch {
	case errors.Is(err, storage.ErrClaimLost): // asked for again, or the webhook is gone
	case err != nil:
		log.Warn("attempt to deliver a webhook could not be recorded, it will be made again", "error", err)
	case now == storage.DeliveryFailed:
		log.Warn("webhook given up", "outcome", result.Outcome, "status", result.Status, "tries", d.Tries)
	}
	c.meter.webhooks.WithLabelValues(string(result.Outcome)).Inc()
}

func (c *Courier) attempt(ctx context.Context, log *slog.Logger, d storage.DueDelivery) webhook.Result {
	secrets, err := c.secrets(d)
	if err != nil {
		log.Error("secret of a webhook cannot be opened; rotating it makes a new one", "error", err)
		return webhook.Result{Outcome: webhook.Unsent}
	}
	return c.sender.Post(ctx, webhook.Message{URL: d.URL, ID: "msg_" + d.ID.String(), Body: d.Body, Secrets: secrets})
}

func (c *Courier) secrets(d storage.DueDelivery) ([]string, error) {
	sealed := []string{d.Secret}
	if d.PreviousSecret != nil {
		sealed = append(sealed, *d.PreviousSecret)
	}
	secrets := make([]string, len(sealed))
	for i, s := range sealed {
		var err error
		if secrets[i], err = c.sealer.Open(s, webhook.SecretContext(d.WebhookID)); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// outcome decides what comes of an attempt.
func (c *Courier) outcome(d storage.DueDelivery, r webhook.Result) storage.DeliveryOutcome {
	o := storage.DeliveryOutcome{
		ID: d.ID, Fence: d.Fence, Status: storage.DeliveryPending,
		Attempt: storage.Attempt{Outcome: string(r.Outcome), Status: r.Status, TookMS: r.Took.Milliseconds()},
	}
	switch r.Outcome {
	case webhook.OK:
		o.Status = storage.DeliveryDelivered
	case webhook.Gone:
		o.Status = storage.DeliveryFailed
	default:
		o.Wait = max(c.wait(d.Tries), min(r.RetryAfter, c.cfg.RetryMax))
	}
	return o
}

// wait is the pause after so many failures: it triples, and differs by up to a
// fifth, so that receivers that failed together are not tried together.
func (c *Courier) wait(tries int) time.Duration {
	wait := c.cfg.RetryMin
	for range tries - 1 {
		if wait *= 3; wait >= c.cfg.RetryMax {
			wait = c.cfg.RetryMax
			break
		}
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}
