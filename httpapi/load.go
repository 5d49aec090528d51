package httpapi

import (
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// These functions open objects for [withObject]: they load the object named in
// the path if the caller may access it. An object the caller may not see is
// reported as missing.

// pathID is the id in the path. An invalid id is reported as not found.
func pathID(c *gin.Context, _ caller) (uuid.UUID, error) {
	text := c.Param("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 { // Parse accepts other spellings too
		return uuid.Nil, storage.ErrNotFound
	}
	return id, nil
}

// loadReadable reads an import, if the caller may see it.
func (a *API) loadReadable(c *gin.Context, by caller) (*roster.Import, error) {
	id, err := pathID(c, by)
	if err != nil {
		return nil, err
	}
	i, err := a.readImport(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	return i, by.mayRead(i)
}

// loadWritable reads an import if the caller may change it.
func (a *API) loadWritable(c *gin.Context, by caller) (*roster.Import, error) {
	i, err := a.loadReadable(c, by)
	if err != nil {
		return nil, err
	}
	return i, by.mayChange(i)
}

// loadWebhook reads a webhook if it is the caller's or the caller has full
// access.
func (a *API) loadWebhook(c *gin.Context, by caller) (*storage.Webhook, error) {
	id, err := pathID(c, by)
	if err != nil {
		return nil, err
	}
	w, err := a.Store.Webhook(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	if !by.access().SeesWebhook(w.Owner) {
		return nil, storage.ErrNotFound
	}
	return w, nil
}
