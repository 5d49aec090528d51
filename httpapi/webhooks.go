package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/httpapi/upload"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
)

// webhookView is a webhook as it is sent.
type webhookView struct {
	ID             uuid.UUID  `json:"id"`
	URL            string     `json:"url"`
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	OldSecretUntil *time.Time `json:"old_secret_until"` // null: there is one secret only
}

// webhookSecretView is a webhook in the one answer that holds its secret.
type webhookSecretView struct {
	webhookView
	Secret string `json:"secret"`
}

// newWebhook is what an import tells of a webhook that its request has made.
type newWebhook struct {
	ID     uuid.UUID `json:"id"`
	Secret string    `json:"secret"`
}

func viewWebhook(w *storage.Webhook) webhookView {
	return webhookView{w.ID, w.URL, w.Owner.Label, w.CreatedAt.UTC(), utc(w.PreviousUntil)}
}

// sealedSecret makes a secret and keeps it for the one answer that tells it.
type sealedSecret struct {
	api  *API
	text string
}

// seal is a [storage.Sealing].
func (s *sealedSecret) seal(id uuid.UUID) string {
	s.text = webhook.NewSecret()
	return s.api.Sealer.Seal(s.text, webhook.SecretContext(id))
}

func (a *API) checkWebhookURL(url string) error { return webhook.CheckURL(url, a.WebhookAddresses) }

// uploadWebhooks is what an upload does about webhook_url.
func (a *API) uploadWebhooks(secret *sealedSecret) upload.Webhooks {
	return upload.Webhooks{CheckURL: a.checkWebhookURL, SealSecret: secret.seal}
}

// told is the webhook that an upload has made, nil if it has made none.
func (s *sealedSecret) told(w *storage.Webhook) *newWebhook {
	if w == nil {
		return nil
	}
	return &newWebhook{w.ID, s.text}
}

// createWebhook is POST /api/admin/webhooks.
func (a *API) createWebhook(c *gin.Context, by caller) error {
	var in struct {
		URL string `json:"url"`
	}
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	url := strings.TrimSpace(in.URL)
	if err := a.checkWebhookURL(url); err != nil {
		return problem.Parameter("url", "url cannot be used: %s.", err)
	}
	secret := sealedSecret{api: a}
	w, err := a.Store.CreateWebhook(c.Request.Context(), url, secret.seal, by.entry())
	if errors.Is(err, storage.ErrAlreadyExists) {
		return problem.New(problem.WrongState, "You have a webhook with this URL. If its secret is lost, rotate it.")
	}
	if err != nil {
		return err
	}
	c.Header("Location", prefix+"/webhooks/"+w.ID.String())
	return a.json(c, http.StatusCreated, webhookSecretView{viewWebhook(w), secret.text})
}

// listWebhooks is GET /api/admin/webhooks.
func (a *API) listWebhooks(c *gin.Context, by caller) error {
	_, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	var owner *roster.Actor
	if !by.as().SeesAllWebhooks() {
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

// deliveryView is a delivery as it is sent.
type deliveryView struct {
	ID         uuid.UUID              `json:"id"`
	ImportID   uuid.UUID              `json:"import_id"`
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
	Status  *int      `json:"status"` // null: there was no answer
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
