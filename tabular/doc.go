// Package tabular turns the bytes of a CSV file into records and back.
//
// It settles everything that lies between an upload and its cells: the
// encoding and byte order mark, the delimiter, the rules of quoting (RFC 4180,
// section 2), row and line numbers, byte offsets to go on reading from, and a
// cap on everything a hostile file could make large. A [Reader] streams: its
// memory does not grow with the file, with a line or with a cell. It does no
// I/O beyond the io.Reader it is given, and knows nothing of what the cells
// mean.
//
// A file that cannot be read at all is a [FileError] from [Open]. A record
// that cannot be read is a [Fault] on that record; reading goes on behind it.
package tabular
