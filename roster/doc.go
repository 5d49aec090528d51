// Package roster holds the nouns and rules of Rollcall: an import and its
// states, a row of a file and what can be wrong with it, users and their
// invitations. It does no I/O and knows nothing of CSV, SQL or HTTP.
package roster
