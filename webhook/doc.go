// Package webhook sends webhooks as the Standard Webhooks specification
// (version 1.0.0, standardwebhooks.com) has them: it makes secrets, signs, and
// posts to addresses that whoever runs the server allows.
//
// Whoever may register a URL makes this server send requests. So every address
// is judged when it is dialed, behind the resolver, where no name can lie; no
// redirect is followed, no proxy used, and of an answer little more than the
// status is read.
package webhook
