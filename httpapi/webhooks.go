package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/access"
	"rollcall/apitypes"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/httpapi/upload"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
)

// webhookView is the JSON form of a webhook.
type webhookView struct {
	ID             uuid.UUID  `json:"id"`
	URL            string     `json:"url"`
	Events         []string   `json:"events"`
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	OldSecretUntil *time.Time `json:"old_secret_until"` // null: there is only one secret

	// Null unless changes of users are no longer sent.
	DisabledAt     *time.Time `json:"disabled_at"`
	DisabledReason *string    `json:"disabled_reason"`
}

// webhookSecretView is a webhook in the only response that contains its secret.
type webhookSecretView struct {
	webhookView
	Secret string `json:"secret"`
}

func viewWebhook(w *storage.Webhook) webhookView {
	return webhookView{
		ID: w.ID, URL: w.URL, Events: w.Events, CreatedBy: w.Owner.Label, CreatedAt: w.CreatedAt.UTC(), OldSecretUntil: utc(w.PreviousUntil),
		DisabledAt: utc(w.DisabledAt), DisabledReason: apitypes.Optional(string(w.DisabledReason)),
	}
}

// sealedSecret makes a secret and keeps it for that response.
type sealedSecret struct {
	api  *API
	text string
}

// seal is a [storage.NewSealedSecret].
func (s *sealedSecret) seal(id uuid.UUID) string {
	s.text = webhook.NewSecret()
	return s.api.Sealer.Seal(s.text, webhook.SecretContext(id))
}

func (a *API) checkWebhookURL(url string) error { return webhook.CheckURL(url, a.WebhookAddresses) }

// uploadWebhooks handles the webhook_url of an upload.
func (a *API) uploadWebhooks(secret *sealedSecret) upload.Webhooks {
	return upload.Webhooks{CheckURL: a.checkWebhookURL, SealSecret: secret.seal}
}

// told is the webhook that an upload has created, nil if it has created none.
func (s *sealedSecret) told(w *storage.Webhook) *apitypes.CreatedWebhook {
	if w == nil {
		return nil
	}
	return &apitypes.CreatedWebhook{ID: w.ID, Secret: s.text}
}

// createWebhook is POST /api/admin/webhooks.
func (a *API) createWebhook(c *gin.Context, by caller) error {
	var in struct {
		URL    string   `json:"url"`
		Events []string `json:"events"`
	}
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	url := strings.TrimSpace(in.URL)
	if err := a.checkWebhookURL(url); err != nil {
		return problem.Parameter("url", "url is invalid: %s.", err)
	}
	events, err := webhookEvents(in.Events, by)
	if err != nil {
		return err
	}
	secret := sealedSecret{api: a}
	w, err := a.Store.CreateWebhook(c.Request.Context(), url, events, secret.seal, by.entry())
	if errors.Is(err, storage.ErrAlreadyExists) {
		return problem.New(problem.WrongState, "This token already has a webhook with this URL. If you lost its secret, rotate it.")
	}
	if err != nil {
		return err
	}
	c.Header("Location", prefix+"/webhooks/"+w.ID.String())
	return a.json(c, http.StatusCreated, webhookSecretView{viewWebhook(w), secret.text})
}

// webhookEvents checks the events that a webhook asks for: nil are those of imports.
func webhookEvents(events []string, by caller) ([]string, error) {
	if events == nil {
		return apitypes.ImportEvents(), nil
	}
	for i, e := range events {
		if !slices.Contains(apitypes.EventTypes(), e) || slices.Contains(events[:i], e) {
			return nil, problem.Parameter("events", "events must name each event once, of %s.", strings.Join(apitypes.EventTypes(), ", "))
		}
	}
	if len(events) == 0 {
		return nil, problem.Parameter("events", "events must name at least one event.")
	}
	if slices.Contains(events, apitypes.EventUsersChanged) {
		return events, by.require(access.TokenAdmin)
	}
	return events, nil
}

// listWebhooks is GET /api/admin/webhooks.
func (a *API) listWebhooks(c *gin.Context, by caller) error {
	_, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	var owner *roster.Actor
	if !by.access().SeesAllWebhooks() {
		owner = &by.actor
	}
	webhooks, err := a.Store.Webhooks(c.Request.Context(), owner, after, limit+1)
	if err != nil {
		return err
	}
	items := make([]webhookView, len(webhooks))
	for i, w := range webhooks {
		items[i] = viewWebhook(w)
	}
	return answerMore(a, c, items, limit, func(v webhookView) string { return query.IDCursor(v.ID) })
}

// showWebhook is GET /api/admin/webhooks/{id}.
func (a *API) showWebhook(c *gin.Context, _ caller, w *storage.Webhook) error {
	return a.json(c, http.StatusOK, viewWebhook(w))
}

// rotateWebhook is POST /api/admin/webhooks/{id}/rotate.
func (a *API) rotateWebhook(c *gin.Context, by caller, w *storage.Webhook) error {
	secret := sealedSecret{api: a}
	w, err := a.Store.RotateWebhook(c.Request.Context(), w.ID, secret.seal, by.entry())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, webhookSecretView{viewWebhook(w), secret.text})
}

// deleteWebhook is DELETE /api/admin/webhooks/{id}.
func (a *API) deleteWebhook(c *gin.Context, by caller, w *storage.Webhook) error {
	if err := a.Store.DeleteWebhook(c.Request.Context(), w.ID, by.entry()); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// deliveryView is the JSON form of a delivery.
type deliveryView struct {
	ID         uuid.UUID              `json:"id"`
	ImportID   *uuid.UUID             `json:"import_id"` // null: changes of users
	Event      string                 `json:"event"`
	Status     storage.DeliveryStatus `json:"status"`
	DueAt      *time.Time             `json:"due_at"`
	CreatedAt  time.Time              `json:"created_at"`
	FinishedAt *time.Time             `json:"finished_at"`
	Attempts   []attemptView          `json:"attempts"`
}

type attemptView struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
	Status  *int      `json:"status"` // null: there was no response
	TookMS  int64     `json:"took_ms"`
}

func viewDelivery(d *storage.Delivery) deliveryView {
	v := deliveryView{
		ID: d.ID, ImportID: d.ImportID, Event: d.Event, Status: d.Status,
		DueAt: utc(d.DueAt), CreatedAt: d.CreatedAt.UTC(), FinishedAt: utc(d.FinishedAt),
		Attempts: make([]attemptView, len(d.Attempts)),
	}
	for i, t := range d.Attempts {
		v.Attempts[i] = attemptView{At: t.At.UTC(), Outcome: t.Outcome, TookMS: t.TookMS}
		if t.Status != 0 {
			v.Attempts[i].Status = &t.Status
		}
	}
	return v
}

// listDeliveries is GET /api/admin/webhooks/{id}/deliveries.
func (a *API) listDeliveries(c *gin.Context, _ caller, w *storage.Webhook) error {
	_, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	deliveries, err := a.Store.Deliveries(c.Request.Context(), w.ID, after, limit+1)
	if err != nil {
		return err
	}
	items := make([]deliveryView, len(deliveries))
	for i, d := range deliveries {
		items[i] = viewDelivery(d)
	}
	return answerMore(a, c, items, limit, func(v deliveryView) string { return query.IDCursor(v.ID) })
}

// redeliver is POST /api/admin/webhooks/{id}/deliveries/{delivery}/redeliver.
func (a *API) redeliver(c *gin.Context, by caller, w *storage.Webhook) error {
	id, err := uuid.Parse(c.Param("delivery"))
	if err != nil {
		return storage.ErrNotFound
	}
	d, err := a.Store.Redeliver(c.Request.Context(), w.ID, id, by.entry())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, viewDelivery(d))
}
