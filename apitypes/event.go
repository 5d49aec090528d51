package apitypes

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

// EventType names the event of an import that has ended or is held, such as
// "import.completed"; "" for any other.
func EventType(s roster.Status) string {
	if !s.Ended() && s != roster.Held {
		return ""
	}
	return "import." + string(s)
}

// EventBody returns the webhook body for the end of an import: the import
// without its errors and everything else that may contain values of the file,
// which are its name, the texts of warnings and failure, columns and mappings.
// An event leaves the system and is stored by others; a client that may see
// these values fetches them through links.
func EventBody(i *roster.Import) ([]byte, error) {
	e := Event{Type: EventType(i.Status), Data: ImportOf(i)}
	e.Data.Filename, e.Data.Workbook = "", nil
	e.Data.Warnings = make([]roster.Warning, len(i.Warnings))
	for k, w := range i.Warnings {
		e.Data.Warnings[k] = roster.Warning{Code: w.Code, Message: notInEvents, Rows: w.Rows, Encoding: w.Encoding}
	}
	if f := i.Failure; f != nil {
		e.Data.Failure = &roster.Failure{Code: f.Code, Message: notInEvents, Fix: f.Fix}
	}
	if e.Timestamp = time.Now().UTC(); e.Data.FinishedAt != nil {
		e.Timestamp = *e.Data.FinishedAt
	}
	return json.Marshal(e)
}

// notInEvents replaces texts that may quote the file.
const notInEvents = "See the import for details."
