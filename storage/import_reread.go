package storage

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// RereadImport starts a dry run of the file of an earlier import, read with
// other options, and returns the new import and the number of the task to ring.
// An earlier one that waits to be confirmed is canceled: the new one takes its
// place.
//
// [ErrNotFound] unless the same actor started the earlier import,
// [ErrWrongState] while it is being worked on or if it has written anything,
// [ErrPurged] once its file is gone.
func (s *Store) RereadImport(ctx context.Context, earlier uuid.UUID, o roster.Options, by AuditEntry) (i *roster.Import, dispatch int64, err error) {
	defer translate(&err, "import the file of %s again", earlier)
	id, err := uuid.NewV7()
	if err != nil {
		return nil, 0, err
	}
	o.DryRun = true
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		f, err := copyFile(ctx, tx, earlier, by)
		if err != nil {
			return err
		}
		if i, err = insertImport(ctx, tx, id, by, f, o); err != nil {
			return err
		}
		if err := linkImport(ctx, tx, id, earlier); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO import_chunks (import_id, seq, data)
			SELECT $1, seq, data FROM import_chunks WHERE import_id = $2`, id, earlier)
		return err
	})
	return i, 1, err
}

// copyFile looks at the file of an import that is to be read again, and ends
// the import if it still waits to be confirmed.
func copyFile(ctx context.Context, tx *sqlx.Tx, earlier uuid.UUID, by AuditEntry) (newFile, error) {
	var r importRow
	err := tx.GetContext(ctx, &r, `
		SELECT status, processed, purged_at, filename, size_bytes, sha256, trace_parent
		  FROM imports WHERE id = $1 AND actor_kind = $2 AND actor_id = $3 FOR UPDATE`,
		earlier, by.Actor.Kind, by.Actor.ID)
	switch {
	case err != nil:
		return newFile{}, err
	case r.PurgedAt != nil:
		return newFile{}, ErrPurged
	case r.Status.Working(), r.Processed > 0:
		return newFile{}, ErrWrongState
	}
	if r.Status == roster.Ready || r.Status == roster.Held {
		if _, err := tx.ExecContext(ctx, `UPDATE imports SET status = 'canceled', finished_at = now() WHERE id = $1`, earlier); err != nil {
			return newFile{}, err
		}
		if err := deleteRowKeys(ctx, tx, earlier); err != nil {
			return newFile{}, err
		}
		if err := audit(ctx, tx, by.on("import.cancel", "import", earlier)); err != nil {
			return newFile{}, err
		}
	}
	f := newFile{name: r.Filename, size: r.Size, sum: [32]byte(r.SHA256)}
	if r.TraceParent != nil { // of the one upload there was
		f.traceParent = *r.TraceParent
	}
	return f, nil
}

func linkImport(ctx context.Context, tx *sqlx.Tx, id, earlier uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `UPDATE imports SET previous_import_id = $2 WHERE id = $1`, id, earlier)
	return err
}

// LinkImports notes that an import goes on from an earlier one: that its file
// is the other's mended error report. [ErrNotFound] if either is not there.
func (s *Store) LinkImports(ctx context.Context, id, earlier uuid.UUID) (err error) {
	defer translate(&err, "link import %s to %s", id, earlier)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var both bool
		if err := tx.GetContext(ctx, &both, `SELECT count(*) = 2 FROM imports WHERE id IN ($1, $2)`, id, earlier); err != nil {
			return err
		}
		if !both {
			return ErrNotFound
		}
		return linkImport(ctx, tx, id, earlier)
	})
}

// maxRereads bounds how many imports are listed that went on from one.
const maxRereads = 20

// RelatedImports are the imports next to one: the one it went on from, nil if none, and
// those that went on from it, newest first, at most 20.
type RelatedImports struct {
	Before *roster.Import
	After  []*roster.Import
}

// RelatedImports reads the imports next to one.
func (s *Store) RelatedImports(ctx context.Context, id uuid.UUID) (k RelatedImports, err error) {
	defer translate(&err, "read the imports next to %s", id)
	var before importRow
	err = s.db.GetContext(ctx, &before, `
		SELECT `+importColumns+` FROM imports WHERE id = (SELECT previous_import_id FROM imports WHERE id = $1)`, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return k, err
	default:
		if k.Before, err = before.asImport(); err != nil {
			return k, err
		}
	}
	var after []importRow
	if err := s.db.SelectContext(ctx, &after, `
		SELECT `+importColumns+` FROM imports WHERE previous_import_id = $1 ORDER BY id DESC LIMIT $2`, id, maxRereads); err != nil {
		return k, err
	}
	for n := range after {
		i, err := after[n].asImport()
		if err != nil {
			return k, err
		}
		k.After = append(k.After, i)
	}
	return k, nil
}

// SetSendInvitations says of a dry run that waits to be confirmed whether its
// invitations are to be sent at once or held. [ErrWrongState] unless it waits.
func (s *Store) SetSendInvitations(ctx context.Context, id uuid.UUID, send bool, by AuditEntry) (err error) {
	defer translate(&err, "choose about invitations of import %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var before bool
		err := tx.GetContext(ctx, &before, `SELECT send_invitations FROM imports WHERE id = $1 AND status IN ('ready', 'held') FOR UPDATE`, id)
		if errors.Is(err, sql.ErrNoRows) {
			return stateOrMissing(ctx, tx, id)
		}
		if err != nil || before == send {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE imports SET send_invitations = $2 WHERE id = $1`, id, send); err != nil {
			return err
		}
		entry := by.on("import.invitations", "import", id).with(map[string]any{"before": before, "after": send})
		return audit(ctx, tx, entry)
	})
}
