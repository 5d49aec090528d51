// Package mail renders Rollcall's mails and hands them to an SMTP server.
//
// A mail is rendered by [RenderInvitation], [RenderReset] or [RenderTest] into
// a [Message], and sent by a [Pool] of kept-open connections. The answer is nil
// or a [Failure] that says, by its [Class], what caused it and therefore what to
// do next:
//
//	Temporary   try this message again later
//	Permanent   never send this message again
//	Unknown     it may have been delivered: retry once, later, same Message-ID
//	ServerDown  no mail can be sent at present: pause all sending, no recipient is at fault
//	Canceled    the caller gave up before anything was handed over
//
// The session follows RFC 5321, with STARTTLS (RFC 3207), AUTH (RFC 4954) and
// enhanced status codes (RFC 3463).
// Messages are sent as 7-bit, so neither 8BITMIME nor SMTPUTF8 is needed.
package mail
