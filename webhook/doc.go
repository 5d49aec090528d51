// Package webhook implements the sending side of the Standard Webhooks
// specification (version 1.0.0, standardwebhooks.com): it makes secrets, signs
// messages, and posts them to addresses that the operator allows.
//
// A user who may register a URL can make this server send requests. So every
// address is checked when it is dialed, after the name was resolved; redirects
// are not followed, no proxy is used, and little more than the status of a
// response is read.
package webhook
