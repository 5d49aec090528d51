// Package auth implements the credentials: passwords, codes of second factors,
// API tokens, session tokens, the links in mail, and the encryption of stored
// secrets.
//
// It does no I/O except reading crypto/rand. Only hashes of random secrets are
// meant to be stored, and links are derived instead of stored: this package
// only says whether a link is authentic; whether it is still valid (expiry,
// single use) is the database's decision.
package auth
