package events

import "rollcall/mail/bounce"

// postmarkEvent is a webhook of Postmark about one mail.
type postmarkEvent struct {
	RecordType  string
	Type        string // of a bounce
	Description string
	Details     string // the mail server's words
	Metadata    map[string]string
}

// Types of bounces by which a mail will not arrive, or may still. The others, such as
// absence notices, are about mails that arrived.
var (
	postmarkPermanent = map[string]bool{"HardBounce": true, "BadEmailAddress": true, "Blocked": true, "ManuallyDeactivated": true, "DMARCPolicy": true}
	postmarkDelayed   = map[string]bool{"SoftBounce": true, "Transient": true, "DnsError": true, "UndeterminedBounce": true}
)

// ReadPostmark reads an event of Postmark, which the caller has authenticated.
func ReadPostmark(body []byte) ([]bounce.Report, error) {
	var e postmarkEvent
	if err := decode(body, &e); err != nil {
		return nil, err
	}
	token := e.Metadata[bounce.MetadataKey]
	verdict := bounce.None
	switch {
	case e.RecordType != "Bounce" || token == "":
	case postmarkPermanent[e.Type]:
		verdict = bounce.Permanent
	case postmarkDelayed[e.Type]:
		verdict = bounce.Delayed
	}
	if verdict == bounce.None {
		return nil, nil
	}
	return []bounce.Report{report(verdict, []string{token}, e.Details, e.Description, e.Type)}, nil
}
