package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"rollcall/jobs"
	"rollcall/jobs/importer"
	"rollcall/jobs/webhooks"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/auth"
	"rollcall/internal/egress"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
)

// webhookEnv is a test environment with a receiver that imports notify when
// they end.
type webhookEnv struct {
	*testEnv
	sealer   *auth.Sealer
	receiver *receiver
	webhook  *storage.Webhook
	secret   string
}

// receiver answers webhooks with its statuses, one after the other, and then
// with 200.
type receiver struct {
	url string

	mu      sync.Mutex
	answers []int
	got     []received
	arrived chan struct{} // one for each delivery, before it is answered
}

type received struct {
	header http.Header
	body   []byte
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.got = append(r.got, received{req.Header, body})
	status := 200
	if len(r.answers) > 0 {
		status, r.answers = r.answers[0], r.answers[1:]
	}
	r.mu.Unlock()
	r.arrived <- struct{}{}
	if status == hangs {
		<-req.Context().Done()
		return
	}
	w.WriteHeader(status)
}

// hangs is a status that means never answering.
const hangs = 0

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	t.Helper()
	r := &receiver{answers: answers, arrived: make(chan struct{}, 100)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func newWebhookEnv(t *testing.T, answers ...int) *webhookEnv {
	t.Helper()
	sealer, err := auth.NewSealer(strings.Repeat("s", auth.MinSecretLength))
	if err != nil {
		t.Fatal(err)
	}
	h := &webhookEnv{testEnv: newTestEnv(t), sealer: sealer, receiver: newReceiver(t, answers...)}
	h.webhook = h.register(h.receiver.url)
	return h
}

// seal stores a new secret for a webhook and returns it.
func (h *webhookEnv) seal(id uuid.UUID) string {
	h.secret = webhook.NewSecret()
	return h.sealer.Seal(h.secret, webhook.SecretContext(id))
}

func (h *webhookEnv) register(url string) *storage.Webhook {
	h.Helper()
	w, err := h.store.CreateWebhook(h.Context(), url, apitypes.ImportEvents(), h.seal, tester)
	if err != nil {
		h.Fatal(err)
	}
	return w
}

// work delivers until the test ends or stop is called, which waits for the
// deliveries in progress.
func (h *webhookEnv) work(cfg webhooks.Config) (stop func()) {
	h.Helper()
	allowed, err := egress.ParseAddresses("127.0.0.0/8")
	if err != nil {
		h.Fatal(err)
	}
	cfg.PollInterval = 5 * time.Millisecond
	sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowed, Timeout: 300 * time.Millisecond})
	dispatcher := webhooks.New(h.store, quiet(), h.meter.Webhooks, h.sealer, sender, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { dispatcher.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	h.Cleanup(stop)
	return stop
}

// ended runs an import that names the webhook to its end.
func (h *webhookEnv) ended(file string) *roster.Import {
	h.Helper()
	i := h.upload(file, roster.Options{WebhookURL: h.receiver.url})
	return h.run(h.importer(importer.Config{}), i.ID)
}

// settled waits until no delivery is pending and returns all, oldest first.
func (h *webhookEnv) settled(n int) []*storage.Delivery {
	h.Helper()
	return h.until(func(all []*storage.Delivery) bool {
		return len(all) == n && !slices.ContainsFunc(all, func(d *storage.Delivery) bool { return d.Status == storage.DeliveryPending })
	})
}

// until waits until done reports true for the deliveries.
func (h *webhookEnv) until(done func([]*storage.Delivery) bool) []*storage.Delivery {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		all, err := h.store.Deliveries(ctx, h.webhook.ID, uuid.Nil, 100)
		if err != nil {
			h.Fatal(err)
		}
		slices.Reverse(all)
		if done(all) {
			return all
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			h.Fatal("the deliveries do not become as they should")
		}
	}
}

const oneRow = "email,name\nanna@example.com,Anna\n"

// TestEveryEndIsTold: each way an import can end is delivered once, with a
// signature that the receiver can check.
func TestEveryEndIsTold(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	completed := h.ended(oneRow)
	failed := h.ended("phone\n1\n")
	canceled := h.upload(oneRow, roster.Options{WebhookURL: h.receiver.url})
	if err := h.store.CancelImport(t.Context(), canceled.ID, tester); err != nil {
		t.Fatal(err)
	}
	forgotten := h.upload("email,name\nbo@example.com,Bo\n", roster.Options{WebhookURL: h.receiver.url, DryRun: true})
	h.run(h.importer(importer.Config{}), forgotten.ID)
	if _, err := h.store.DB().Exec(`UPDATE imports SET created_at = now() - interval '2 hours' WHERE id = $1`, forgotten.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PurgeImport(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	untold := h.upload(oneRow, roster.Options{})
	h.run(h.importer(importer.Config{}), untold.ID)

	h.work(webhooks.Config{})
	h.settled(4)
	want := map[string]string{
		completed.ID.String(): "import.completed", failed.ID.String(): "import.failed",
		canceled.ID.String(): "import.canceled", forgotten.ID.String(): "import.canceled",
	}
	for _, got := range h.receiver.all() {
		var event struct {
			Type      string
			Timestamp time.Time
			Data      struct{ ID, Status string }
		}
		if err := json.Unmarshal(got.body, &event); err != nil {
			t.Fatal(err)
		}
		if want[event.Data.ID] != event.Type || event.Type != "import."+event.Data.Status || event.Timestamp.IsZero() {
			t.Errorf("%s", got.body)
		}
		if bytes.Contains(got.body, []byte("example.com")) {
			t.Errorf("an address is sent: %s", got.body)
		}
		delete(want, event.Data.ID)
		h.verify(got, h.secret)
	}
	if len(want) > 0 {
		t.Errorf("untold: %v", want)
	}
}

// verify checks a delivery like a receiver that knows one secret.
func (h *webhookEnv) verify(r received, secret string) {
	h.Helper()
	var seconds int64
	if _, err := fmt.Sscan(r.header.Get("Webhook-Timestamp"), &seconds); err != nil {
		h.Fatal(err)
	}
	want, err := webhook.Sign(secret, r.header.Get("Webhook-Id"), time.Unix(seconds, 0), r.body)
	if err != nil {
		h.Fatal(err)
	}
	if !slices.Contains(strings.Fields(r.header.Get("Webhook-Signature")), want) {
		h.Errorf("signature %s, want %s", r.header.Get("Webhook-Signature"), want)
	}
}

// TestAFailedDeliveryIsTriedAgain with the same id and the same bytes.
func TestAFailedDeliveryIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, 500, hangs, 302, 200)
	h.ended(oneRow)
	h.work(webhooks.Config{RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond})
	d := h.settled(1)[0]
	var outcomes []string
	for _, a := range d.Attempts {
		outcomes = append(outcomes, fmt.Sprint(a.Outcome, " ", a.Status))
		if a.At.IsZero() || time.Since(a.At) > time.Minute {
			t.Errorf("attempt at %s", a.At)
		}
	}
	if got, want := strings.Join(outcomes, ", "), "refused 500, timeout 0, redirected 302, ok 200"; got != want || d.Status != storage.DeliveryDelivered {
		t.Errorf("%s: %s, want %s", d.Status, got, want)
	}
	first := h.receiver.all()[0]
	for _, r := range h.receiver.all() {
		if r.header.Get("Webhook-Id") != "msg_"+d.ID.String() || !bytes.Equal(r.body, first.body) {
			t.Errorf("%v %s", r.header, r.body)
		}
	}
}

// TestGivingUp: at once if the receiver answers 410, otherwise after a day; a
// redelivery starts over.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, 410, 503)
	h.ended(oneRow)
	h.work(webhooks.Config{RetryMin: time.Hour})
	d := h.settled(1)[0]
	if d.Status != storage.DeliveryFailed || len(d.Attempts) != 1 || d.Attempts[0].Outcome != "gone" {
		t.Fatalf("%+v", d)
	}
	if _, err := h.store.Redeliver(t.Context(), h.webhook.ID, d.ID, tester); err != nil {
		t.Fatal(err)
	}
	waiting := h.until(func(all []*storage.Delivery) bool { return len(all[0].Attempts) == 2 })[0]
	if wait := time.Until(*waiting.DueAt); waiting.Status != storage.DeliveryPending || wait < 45*time.Minute || wait > 75*time.Minute {
		t.Fatalf("%+v, due in %s", waiting, wait)
	}
	// A day later: one more attempt, and no time for another.
	h.receiver.mu.Lock()
	h.receiver.answers = []int{503}
	h.receiver.mu.Unlock()
	if _, err := h.store.DB().Exec(`UPDATE webhook_deliveries SET due_at = now(), deadline = now() + interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	if d = h.settled(1)[0]; d.Status != storage.DeliveryFailed || len(d.Attempts) != 3 {
		t.Errorf("%+v", d)
	}
}

// TestRotation: for a day both secrets sign, then the new one only.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	old := h.secret
	if _, err := h.store.RotateWebhook(t.Context(), h.webhook.ID, h.seal, tester); err != nil {
		t.Fatal(err)
	}
	h.ended(oneRow)
	h.work(webhooks.Config{})
	d := h.settled(1)[0]
	h.verify(h.receiver.all()[0], h.secret)
	h.verify(h.receiver.all()[0], old)
	if _, err := h.store.DB().Exec(`UPDATE webhooks SET previous_until = now() - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Redeliver(t.Context(), h.webhook.ID, d.ID, tester); err != nil {
		t.Fatal(err)
	}
	h.settled(1)
	again := h.receiver.all()[1]
	h.verify(again, h.secret)
	if n := len(strings.Fields(again.header.Get("Webhook-Signature"))); n != 1 {
		t.Errorf("%d signatures", n)
	}
}

// TestWebhookSecretsAreReencrypted when a worker starts, so that a rotated
// ROLLCALL_SECRET can be dropped.
func TestWebhookSecretsAreReencrypted(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	old := h.secret
	if _, err := h.store.RotateWebhook(t.Context(), h.webhook.ID, h.seal, tester); err != nil {
		t.Fatal(err)
	}
	first, second := strings.Repeat("s", auth.MinSecretLength), strings.Repeat("t", auth.MinSecretLength)
	for _, secrets := range [][]string{{second, first}, {second}} {
		var err error
		if h.sealer, err = auth.NewSealer(secrets[0], secrets[1:]...); err != nil {
			t.Fatal(err)
		}
		jobs.NewSecretRotator(h.store, h.sealer, quiet()).Run(t.Context())
		before := len(h.receiver.all())
		h.ended(oneRow)
		stop := h.work(webhooks.Config{})
		h.settled(before + 1)
		stop()
		h.verify(h.receiver.all()[before], h.secret)
		h.verify(h.receiver.all()[before], old)
	}
}

// TestAReceiverThatHangsKeepsNobodyElseWaiting: it takes one slot at most,
// however many deliveries it has.
func TestAReceiverThatHangsKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, hangs, hangs, hangs, hangs)
	for range 4 {
		h.ended(oneRow)
	}
	slow := h.receiver
	h.receiver = newReceiver(t)
	h.webhook = h.register(h.receiver.url)
	h.ended(oneRow)
	h.work(webhooks.Config{Concurrency: 2, RetryMin: time.Hour})
	<-slow.arrived
	h.settled(1)
	if n := len(slow.all()); n != 1 {
		t.Errorf("%d deliveries at once to a receiver that hangs", n)
	}
}

// TestStoppingFinishesWhatHasBegun, and another dispatcher delivers the rest.
func TestStoppingFinishesWhatHasBegun(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, hangs)
	h.ended(oneRow)
	stop := h.work(webhooks.Config{RetryMin: time.Millisecond})
	<-h.receiver.arrived
	stop()
	if d := h.until(func([]*storage.Delivery) bool { return true })[0]; len(d.Attempts) != 1 || d.Attempts[0].Outcome != "timeout" {
		t.Fatalf("%+v", d)
	}
	h.work(webhooks.Config{})
	h.settled(1)
}

// TestDeliveryOfADeadWorkerIsRepeated once its lease is over, and what the
// dead worker records later has no effect.
func TestDeliveryOfADeadWorkerIsRepeated(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	h.ended(oneRow)
	claimed, err := h.store.ClaimDeliveries(t.Context(), 10, time.Minute)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	if more, err := h.store.ClaimDeliveries(t.Context(), 10, time.Minute); err != nil || len(more) != 0 {
		t.Fatal(more, err)
	}
	if _, err := h.store.DB().Exec(`UPDATE webhook_deliveries SET claimed_until = now(), due_at = now()`); err != nil {
		t.Fatal(err)
	}
	h.work(webhooks.Config{})
	h.settled(1)
	_, _, err = h.store.RecordDelivery(t.Context(), storage.DeliveryOutcome{ID: claimed[0].ID, Fence: claimed[0].Fence, Status: storage.DeliveryFailed})
	wantErr(t, err, storage.ErrClaimLost)
}

// TestOldDeliveriesArePurged, but not pending ones.
func TestOldDeliveriesArePurged(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	h.ended(oneRow)
	stop := h.work(webhooks.Config{})
	h.settled(1)
	stop()
	h.ended(oneRow)
	for _, c := range []struct {
		retention time.Duration
		left      int
	}{{time.Hour, 2}, {0, 1}} {
		if done, err := h.store.PurgeDeliveries(t.Context(), c.retention); err != nil || !done {
			t.Fatal(done, err)
		}
		h.until(func(all []*storage.Delivery) bool { return len(all) == c.left })
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
