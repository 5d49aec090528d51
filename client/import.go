package client

import (
	"encoding/json"

	"rollcall/apitypes"
	"rollcall/roster"
)

// Import is one import as the API returns it.
type Import struct {
	apitypes.Import

	// Raw is the response this was decoded from, including fields of newer
	// servers.
	Raw json.RawMessage `json:"-"`

	etag string // the revision, for If-None-Match; "" if none was given
}

// Finished reports whether the import will no longer change by itself, except
// for its invitations. A state that this client does not know counts as
// unfinished.
func (i *Import) Settled() bool {
	status, known := roster.ParseStatus(string(i.Status))
	return known && !status.Working()
}
