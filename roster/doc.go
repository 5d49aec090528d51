// Package roster defines the domain types and rules of Rollcall: imports and
// their states, the rows of a file and their possible problems, users and their
// invitations. It does no I/O and knows nothing of CSV, SQL or HTTP.
package roster
