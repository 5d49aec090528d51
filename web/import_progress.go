package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/internal/broadcast"
	"rollcall/roster"
)

// streamLimits bounds how many pages follow an import through events at once;
// the others poll. The browser reconnects, and each new request is
// authenticated.
var streamLimits = broadcast.StreamLimits{MaxStreams: 128, MaxAge: 5 * time.Minute}

// progress is the update sent to a page that follows an import. Its texts
// replace the content of the elements whose data-live attribute has their name.
type progress struct {
	Status roster.Status     `json:"status"`
	Done   int64             `json:"done"`
	All    int64             `json:"all"` // 0: not known yet
	Live   bool              `json:"live"`
	Texts  map[string]string `json:"texts"`
}

func newProgress(i *roster.Import) progress {
	v := importView{Import: i}
	rows := "–"
	if i.Total != nil {
		rows = number(*i.Total)
	}
	return progress{
		Status: i.Status, Done: done(i), All: all(i), Live: isActive(i),
		Texts: map[string]string{
			"counted":   v.Counted(),
			"rows":      rows,
			"valid":     number(i.Valid),
			"imported":  number(i.Imported),
			"updated":   number(i.Updated),
			"unchanged": number(i.Unchanged),
			"failed":    number(i.Failed),
			"mailed":    v.Mailed(),
			"held":      number(i.Invitations.Held),
			"pending":   number(i.Invitations.Pending),
			"sent":      number(i.Invitations.Sent),
			"accepted":  number(i.Invitations.Accepted),
			"reminders": number(i.Invitations.Reminders),
			"refused":   number(i.Invitations.Failed),
			"bounced":   number(i.Invitations.Bounced),
		},
	}
}

// Counted describes the progress of the current work: "1,234 of 5,000 rows".
func (v importView) Counted() string {
	switch {
	case v.All() > 0:
		return number(v.Done()) + " of " + counted(v.All(), "row", "rows")
	case v.Done() > 0:
		return counted(v.Done(), "row", "rows") + " so far"
	}
	return ""
}

// showCounts answers with the progress of an import once, as JSON.
func (s *Site) showCounts(c *gin.Context, _ *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(c.Request.Context(), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newProgress(i))
	return nil
}

// streamImport sends the progress of an import and its invitations as
// server-sent events until both are done.
func (s *Site) streamImport(c *gin.Context, _ *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return s.streams.Serve(c.Writer, c.Request, i, broadcast.Events{
		Body:  func(i *roster.Import) any { return newProgress(i) },
		Ended: func(i *roster.Import) bool { return !isActive(i) },
	})
}
