// Package bounce recognizes mails that come back. A [Tracking] marks each mail with a
// token before it is sent, and [Parse] finds tokens and the reason in what a mail
// server sends back: delivery status notifications (RFC 3464), and the text of servers
// that write none. Package mail/bounce/events reads the events of mail providers.
//
// Nothing here tells whether a token is genuine: see auth.Signer.
package bounce
