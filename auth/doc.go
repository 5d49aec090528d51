// Package auth holds the rules for everything that proves who somebody is:
// passwords, codes of second factors, API tokens, session tokens, the links in
// mail, and secrets kept at rest.
//
// It does no I/O beyond reading crypto/rand. Only hashes of random secrets are
// meant to be stored, and links are derived rather than stored: whether a link
// is still good (expiry, single use) is the database's decision, this package
// only says whether it is authentic.
package auth
