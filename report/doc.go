// Package report shows the outcome of every row of an import: the error report
// to fix and upload again, the results of all rows, and pages of rows to review
// before a dry run is confirmed.
//
// Reports are not stored. Each one reads the upload again, with the reader that
// the import itself used, and joins it by row number with the row errors in the
// database. All of them stream: memory does not grow with the file.
package report
