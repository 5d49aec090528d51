package apitypes

import (
	"encoding/json"
	"time"

	"rollcall/roster"
)

// EventUsersChanged is the event with changes of users.
const EventUsersChanged = "users.changed"

// ImportEvents are the events of imports, which webhooks get that ask for none.
func ImportEvents() []string {
	return []string{EventType(roster.Completed), EventType(roster.Failed), EventType(roster.Canceled), EventType(roster.Held)}
}

// EventTypes lists all events.
func EventTypes() []string { return append(ImportEvents(), EventUsersChanged) }

// ChangesEvent is the body of a webhook with changes of users: a page of the feed.
type ChangesEvent struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of the last change
	Data      Changes   `json:"data"`
}

// ChangesEventBody returns the webhook body for entries, of which there is at least
// one, and the cursor behind them.
func ChangesEventBody(entries []roster.ChangeEntry, next roster.ChangeCursor) ([]byte, error) {
	e := ChangesEvent{Type: EventUsersChanged, Data: ChangesOf(entries, next)}
	e.Timestamp = e.Data.Items[len(entries)-1].At
	return json.Marshal(e)
}
