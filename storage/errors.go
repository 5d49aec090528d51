package storage

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/lib/pq"
)

// What callers decide by. Every other error is a fault of ours or of the
// database and shows nothing of itself to people.
var (
	// ErrNotFound: no such thing.
	ErrNotFound = errors.New("not found")
	// ErrClaimLost: another worker holds the import, or it ended. Stop at once;
	// nothing was written.
	ErrClaimLost = errors.New("claim lost")
	// ErrNotClaimable: nothing to do for a worker, or someone is doing it.
	ErrNotClaimable = errors.New("not claimable")
	// ErrKeyArriving: another request with this Idempotency-Key is arriving.
	ErrKeyArriving = errors.New("idempotency key still arriving")
	// ErrKeyReused: the Idempotency-Key was used for other bytes or options.
	ErrKeyReused = errors.New("idempotency key reused")
	// ErrBudget: the caller may not store as many bytes today.
	ErrBudget = errors.New("upload budget spent")
	// ErrWrongState: the thing is not in a state that allows this.
	ErrWrongState = errors.New("wrong state")
	// ErrAlreadyExists: there is one with that name or address.
	ErrAlreadyExists = errors.New("already exists")
	// ErrCodeUsed: the code of a second factor was used before, or is none.
	ErrCodeUsed = errors.New("code used")
	// ErrPurged: retention has taken it.
	ErrPurged = errors.New("purged")
	// ErrUnavailable: the database is away, starting, full or has no
	// connection to give. The same call may succeed later.
	ErrUnavailable = errors.New("database unavailable")
	// ErrRefused: the database is there and does not let us in, and will not
	// before somebody changes its configuration or ours.
	ErrRefused = fmt.Errorf("%w: it refuses us", ErrUnavailable)
	// ErrLastAdmin: it would leave no active administrator.
	ErrLastAdmin = errors.New("last active administrator")
)

// translate turns an error of the driver into one of ours, in place, and says
// what was being done. It is deferred by every exported method.
func translate(err *error, doing string, args ...any) {
	if *err == nil {
		return
	}
	wrapped := fmt.Errorf(doing+": %w", append(args, *err)...)
	switch {
	case errors.Is(*err, sql.ErrNoRows):
		*err = fmt.Errorf(doing+": %w", append(args, ErrNotFound)...)
	case refused(*err):
		*err = errors.Join(ErrRefused, wrapped)
	case unavailable(*err):
		if errors.Is(*err, io.EOF) || errors.Is(*err, io.ErrUnexpectedEOF) {
			// The line has ended. Who reads a file through us must not take that
			// for the end of the file.
			wrapped = fmt.Errorf(doing+": %v", append(args, *err)...)
		}
		*err = errors.Join(ErrUnavailable, wrapped)
	default:
		*err = wrapped
	}
}

// refused reports whether err says that waiting will not help: a wrong password
// or user, no entry for us in pg_hba.conf, no such database, a parameter that the
// pooler in between does not know, no TLS, or TLS that we cannot trust.
func refused(err error) bool {
	switch state := sqlState(err); state {
	case "28000", "28P01", "3D000", "08P01":
		return true
	case "":
	default:
		return false
	}
	return errors.Is(err, pq.ErrSSLNotSupported) ||
		errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.As(err, new(tls.AlertError)) ||
		errors.As(err, new(tls.RecordHeaderError))
}

// unavailable reports whether err says that the database could not be asked,
// rather than that it answered no.
func unavailable(err error) bool {
	if errors.Is(err, ErrUnavailable) {
		return false // said already
	}
	if errors.As(err, new(bodyError)) {
		return false
	}
	if state := sqlState(err); state != "" {
		if fatal(err) || state == "25006" { // it is read-only for now
			return true
		}
		switch state[:2] {
		case "08", "53": // connection exception; insufficient resources, disk full
			return true
		case "57": // operator intervention; 57014 is our own timeout or cancel
			return state != "57014"
		case "58": // system error: I/O
			return true
		}
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var netErr net.Error
	return errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &netErr)
}

// fatal reports whether PostgreSQL ended the connection with what it said, or did
// not let it begin: with a full disk it says so under the code of a fault of its own.
func fatal(err error) bool {
	var e *pq.Error
	return errors.As(err, &e) && e.Fatal()
}

// Interrupted reports whether err says that the database was away, full, took
// too long or gave way to others, rather than that it minds what it was given:
// the same may well succeed another time.
func Interrupted(err error) bool {
	if sqlState(err) == "57014" { // our own timeout, in PostgreSQL's words
		return true
	}
	return errors.Is(err, ErrUnavailable) || conflicted(err) ||
		errors.Is(err, sql.ErrTxDone) || // its context ended, and database/sql rolled it back
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Disconnected reports whether err says that the connection to the database broke
// or could not be made: PostgreSQL has not said a word about what it was given.
func Disconnected(err error) bool { return errors.Is(err, ErrUnavailable) && sqlState(err) == "" }

// bodyError is an error of the one who sends a file. A line that breaks there
// looks like one that breaks between us and the database, and is not.
type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// conflicted reports whether PostgreSQL gave the transaction up for another's
// sake, so that the same again may well succeed.
func conflicted(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization failure, deadlock
		return true
	}
	return errors.Is(err, errRetry)
}

// errRetry: a row seen a moment ago is gone; looking again settles it.
var errRetry = errors.New("row vanished")

// violates reports whether err is a breach of the named constraint.
func violates(err error, constraint string) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Constraint == constraint
}

func sqlState(err error) string {
	var pqErr *pq.Error
	if errors.As(err, &pqErr) && len(pqErr.Code) == 5 {
		return string(pqErr.Code)
	}
	return ""
}
