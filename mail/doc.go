// Package mail renders Rollcall's mails and hands them to an SMTP server.
//
// A mail is rendered by [RenderInvitation], [RenderReset] or [RenderTest] into
// a [Message], and sent by a [Pool] of kept-open connections, one mail alone or
// many in a [Sequence]. The answer is nil or a [Failure] that says, by its
// [Class], whose fault it was and therefore what to do next:
//
//	Temporary   try this message again later
//	Permanent   never send this message again
//	Unknown     it may have been delivered: once more later, same Message-ID
//	ServerDown  nothing can be sent at present: pause everything, blame nobody
//	Canceled    the caller gave up before anything was handed over
//
// The conversation follows RFC 5321, with STARTTLS (RFC 3207), AUTH
// (RFC 4954), PIPELINING (RFC 2920) and enhanced status codes (RFC 3463).
// Messages are 7-bit on the wire, so neither 8BITMIME nor SMTPUTF8 is needed.
package mail
