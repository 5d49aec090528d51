package wire

import (
	"encoding/json"
	"time"

	"rollcall/roster"
)

// Event is the body of a webhook, in the form that the Standard Webhooks
// specification recommends (section "Payload structure").
type Event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened
	Data      Import    `json:"data"`
}

// EventType names the event of an import that has ended, such as
// "import.completed"; "" for one that has not.
func EventType(s roster.Status) string {
	if !s.Ended() {
		return ""
	}
	return "import." + string(s)
}

// EventBody is the body that tells the end of an import. It is the import
// without its errors: those hold what stood in the file, and a program that may
// see them asks for them under links.
func EventBody(i *roster.Import) ([]byte, error) {
	e := Event{Type: EventType(i.Status), Data: ImportOf(i)}
	if e.Data.FinishedAt != nil {
		e.Timestamp = *e.Data.FinishedAt
	}
	return json.Marshal(e)
}
