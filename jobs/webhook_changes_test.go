package jobs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/apitypes"
	"rollcall/auth"
	"rollcall/jobs/importer"
	"rollcall/jobs/webhooks"
	"rollcall/roster"
	"rollcall/storage"
)

// newFollower is a test environment whose webhook follows changes of users.
func newFollower(t *testing.T, by storage.AuditEntry, answers ...int) *webhookEnv {
	t.Helper()
	sealer, err := auth.NewSealer(strings.Repeat("s", auth.MinSecretLength))
	if err != nil {
		t.Fatal(err)
	}
	h := &webhookEnv{testEnv: newTestEnv(t), sealer: sealer, receiver: newReceiver(t, answers...)}
	if by.Actor.Kind == roster.ActorToken {
		made, err := h.store.CreateToken(t.Context(), "follower", auth.HashToken("x"), []string{"admin"}, 0, tester)
		if err != nil {
			t.Fatal(err)
		}
		by.Actor.ID = made.ID
	}
	if h.webhook, err = h.store.CreateWebhook(t.Context(), h.receiver.url, []string{apitypes.EventUsersChanged}, h.seal, by); err != nil {
		t.Fatal(err)
	}
	return h
}

// told are the entries of all deliveries that were answered with 2xx, in their order,
// each delivery once.
func (h *webhookEnv) told(refused int) (entries []apitypes.Change) {
	h.Helper()
	for k, got := range h.receiver.all() {
		var event apitypes.ChangesEvent
		if err := json.Unmarshal(got.body, &event); err != nil {
			h.Fatal(err)
		}
		signer, err := standardwebhooks.NewWebhook(h.secret)
		if err != nil {
			h.Fatal(err)
		}
		if err := signer.Verify(got.body, got.header); err != nil {
			h.Error(err)
		}
		if event.Type != apitypes.EventUsersChanged || event.Data.Next == "" || len(event.Data.Items) == 0 || len(event.Data.Items) > 100 {
			h.Errorf("%s, %d entries", event.Type, len(event.Data.Items))
		}
		if k >= refused {
			entries = append(entries, event.Data.Items...)
		}
	}
	return entries
}

// feed is all of the feed.
func (h *webhookEnv) feed() []apitypes.Change {
	h.Helper()
	entries, next, err := h.store.Changes(h.Context(), nil, 1000)
	if err != nil {
		h.Fatal(err)
	}
	return apitypes.ChangesOf(entries, next).Items
}

// caughtUp waits until the receiver has got as much as the feed has.
func (h *webhookEnv) caughtUp(refused int) {
	h.Helper()
	want := h.feed()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if h.told(refused); len(h.told(refused)) >= len(want) || time.Now().After(end) {
			break
		}
	}
	h.settled(len(h.deliveries()))
	got := h.told(refused)
	if len(got) != len(want) {
		h.Fatalf("%d entries were delivered, the feed has %d", len(got), len(want))
	}
	for k := range got {
		if got[k].UserID != want[k].UserID || got[k].Type != want[k].Type || !got[k].At.Equal(want[k].At) {
			h.Fatalf("entry %d is %+v, want %+v", k, got[k], want[k])
		}
	}
}

func (h *webhookEnv) deliveries() []*storage.Delivery {
	h.Helper()
	all, err := h.store.Deliveries(h.Context(), h.webhook.ID, uuid.Nil, 200)
	if err != nil {
		h.Fatal(err)
	}
	return all
}

func peopleFrom(from, to int) string {
	file := "email,name\n"
	for i := from; i < to; i++ {
		file += fmt.Sprintf("p%d@example.com,P%d\n", i, i)
	}
	return file
}

func (h *webhookEnv) imports(file string, o roster.Options) {
	h.Helper()
	h.run(h.importer(importer.Config{}), h.upload(file, o).ID)
}

// TestChangesAreDeliveredInOrder: each once, a hundred at a time, also to a receiver
// that fails again and again; and what comes meanwhile waits.
func TestChangesAreDeliveredInOrder(t *testing.T) {
	t.Parallel()
	h := newFollower(t, tester, 500, 503)
	h.imports(peopleFrom(0, 130), roster.Options{})
	h.work(webhooks.Config{RetryMin: 50 * time.Millisecond})
	h.imports(peopleFrom(100, 260), roster.Options{})
	h.caughtUp(2)
	if all := h.receiver.all(); all[0].header.Get("webhook-id") != all[2].header.Get("webhook-id") || all[2].header.Get("webhook-id") == all[3].header.Get("webhook-id") {
		t.Error("a delivery that is repeated keeps its id, and no other has it")
	}
	for _, d := range h.deliveries() {
		if d.ImportID != nil || d.Event != "users.changed" || d.Status != storage.DeliveryDelivered {
			t.Errorf("%+v", d)
		}
	}
	var kept int
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM webhook_deliveries WHERE body IS NOT NULL`).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d bodies are kept, %v", kept, err)
	}
	stats, err := h.store.Stats(t.Context())
	if err != nil || stats.Webhooks != (storage.WebhookLag{}) {
		t.Errorf("%+v, %v", stats.Webhooks, err)
	}
}

// TestFailingWebhookIsDisabledAndResumes: after a day, told in the log, the audit log
// and the metrics; and nothing is lost once it works again.
func TestFailingWebhookIsDisabledAndResumes(t *testing.T) {
	t.Parallel()
	h := newFollower(t, tester, slices.Repeat([]int{500}, 1)...)
	h.imports(peopleFrom(0, 3), roster.Options{})
	if _, err := h.store.PlanChangeDeliveries(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.DB().Exec(`UPDATE webhook_deliveries SET deadline = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	h.work(webhooks.Config{})
	first := h.settled(1)[0]
	w := h.reread()
	if first.Status != storage.DeliveryFailed || w.DisabledAt == nil || w.DisabledReason != storage.DisabledFailing {
		t.Fatalf("%+v, %+v", first, w)
	}
	h.imports(peopleFrom(3, 6), roster.Options{})
	stats, err := h.store.Stats(t.Context())
	if err != nil || stats.Webhooks.Disabled != 1 {
		t.Errorf("%+v, %v", stats.Webhooks, err)
	}
	lines, err := h.store.Audit(t.Context(), storage.AuditFilter{Action: "webhook.disable", TargetID: w.ID, Limit: 10})
	if err != nil || len(lines) != 1 || lines[0].ActorKind != roster.ActorSystem {
		t.Errorf("%+v, %v", lines, err)
	}
	if len(h.deliveries()) != 1 {
		t.Error("a disabled webhook goes on")
	}
	if _, err := h.store.Redeliver(t.Context(), w.ID, first.ID, tester); err != nil {
		t.Fatal(err)
	}
	h.caughtUp(1)
	if w := h.reread(); w.DisabledAt != nil || w.DisabledReason != "" {
		t.Errorf("%+v", w)
	}
}

// TestGoneReceiverIsDisabledAtOnce: 410 means that nobody wants it any more.
func TestGoneReceiverIsDisabledAtOnce(t *testing.T) {
	t.Parallel()
	h := newFollower(t, tester, 410)
	h.imports(peopleFrom(0, 3), roster.Options{})
	h.work(webhooks.Config{})
	h.settled(1)
	if w := h.reread(); w.DisabledReason != storage.DisabledGone {
		t.Errorf("%+v", w)
	}
}

// TestChangesEndWithTheRights: a token that is revoked is told nothing any more, also
// of what was on its way.
func TestChangesEndWithTheRights(t *testing.T) {
	t.Parallel()
	h := newFollower(t, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorToken, Label: "follower"}})
	h.imports(peopleFrom(0, 3), roster.Options{})
	if _, err := h.store.PlanChangeDeliveries(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.store.RevokeToken(t.Context(), h.webhook.Owner.ID, tester); err != nil {
		t.Fatal(err)
	}
	h.work(webhooks.Config{})
	if d := h.settled(1)[0]; d.Status != storage.DeliveryFailed {
		t.Errorf("%+v", d)
	}
	if w := h.reread(); w.DisabledReason != storage.DisabledForbidden || len(h.receiver.all()) != 0 {
		t.Errorf("%+v, %d requests", w, len(h.receiver.all()))
	}
}

// TestErasedPersonIsNotTold: what waits for a receiver says nothing of a person who
// was erased meanwhile.
func TestErasedPersonIsNotTold(t *testing.T) {
	t.Parallel()
	h := newFollower(t, tester)
	h.imports("email,name\nanna@example.com,Anna Secret\n", roster.Options{})
	if _, err := h.store.PlanChangeDeliveries(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := h.store.DataSubjectByKey(t.Context(), "anna@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.EraseUser(t.Context(), p, []string{p.Email}, strings.Repeat("0", 32), tester); err != nil {
		t.Fatal(err)
	}
	h.work(webhooks.Config{})
	h.caughtUp(0)
	for _, got := range h.receiver.all() {
		if bytes.Contains(got.body, []byte("nna")) {
			t.Errorf("%s", got.body)
		}
	}
}

// TestOneWebhookForBoth: an import that names the URL of a webhook for changes is told
// of, too.
func TestOneWebhookForBoth(t *testing.T) {
	t.Parallel()
	h := newFollower(t, tester)
	h.imports("email,name\nanna@example.com,Anna\n", roster.Options{WebhookURL: h.receiver.url})
	h.work(webhooks.Config{})
	var events []string
	for _, d := range h.settled(2) {
		events = append(events, d.Event)
	}
	slices.Sort(events)
	if !slices.Equal(events, []string{"import.completed", "users.changed"}) {
		t.Errorf("%v", events)
	}
	if w := h.reread(); len(w.Events) != 5 {
		t.Errorf("%v", w.Events)
	}
}

func (h *webhookEnv) reread() *storage.Webhook {
	h.Helper()
	w, err := h.store.Webhook(h.Context(), h.webhook.ID)
	if err != nil {
		h.Fatal(err)
	}
	return w
}
