package httpapi

import (
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// Here are the openings of [on]: how the object in a path is found, and whether
// the caller may have it. What may not be seen might as well not be there.

// named is the id in the path. What is no id is the id of nothing.
func named(c *gin.Context, _ caller) (uuid.UUID, error) {
	text := c.Param("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 { // Parse takes other spellings too
		return uuid.Nil, storage.ErrNotFound
	}
	return id, nil
}

// visible reads an import, if the caller may see it.
func (a *API) visible(c *gin.Context, by caller) (*roster.Import, error) {
	id, err := named(c, by)
	if err != nil {
		return nil, err
	}
	i, err := a.readImport(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	return i, by.mayRead(i)
}

// changeable reads an import, if the caller may change it.
func (a *API) changeable(c *gin.Context, by caller) (*roster.Import, error) {
	i, err := a.visible(c, by)
	if err != nil {
		return nil, err
	}
	return i, by.mayChange(i)
}

// polled reads an import together with all others who poll it, if the caller may
// see it.
func (a *API) polled(c *gin.Context, by caller) (page, error) {
	id, err := named(c, by)
	if err != nil {
		return page{}, err
	}
	p, err := a.pages.get(c.Request.Context(), id)
	if err != nil {
		return page{}, err
	}
	return p, by.mayRead(p.Import)
}

// ownWebhook reads a webhook, if it is the caller's or the caller may do
// everything.
func (a *API) ownWebhook(c *gin.Context, by caller) (*storage.Webhook, error) {
	id, err := named(c, by)
	if err != nil {
		return nil, err
	}
	w, err := a.Store.Webhook(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	if !by.as().SeesWebhook(w.Owner) {
		return nil, storage.ErrNotFound
	}
	return w, nil
}
