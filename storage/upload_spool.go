package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

const (
	// spoolBeat is how often an upload that is arriving says that it is.
	spoolBeat = 5 * time.Second
	// spoolDead is after how long without a word another upload may have its
	// Idempotency-Key: some beats, for the database may be slow.
	spoolDead = 20 * time.Second
	// spoolSwept is after how long its chunks are removed.
	spoolSwept = 2 * time.Minute
	// spoolCleanup bounds the removal of the chunks of an upload that failed. The
	// sweeper removes what is left then.
	spoolCleanup = 5 * time.Second
)

// errSpoolLost: an upload's chunks are gone, because the database heard nothing
// of it for too long.
var errSpoolLost = fmt.Errorf("%w: the upload was given up", ErrUnavailable)

// spool keeps the chunks of an upload that is still arriving, each committed by
// itself: no transaction is open while the client takes its time. Its entry in
// import_uploads holds the Idempotency-Key and is renewed while the process lives.
type spool struct {
	store *Store
	id    uuid.UUID // of the import to be
	stop  context.CancelFunc
	ended chan struct{} // closed when the entry is not renewed any more
}

// openSpool enters an upload. [ErrKeyArriving] if another one holds its key.
func (s *Store) openSpool(ctx context.Context, id uuid.UUID, caller, key string) (*spool, *knownKey, error) {
	var known *knownKey
	err := s.transact(ctx, func(tx *sqlx.Tx) (err error) {
		if known, err = lockKey(ctx, tx, caller, key); err != nil || known != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO import_uploads (import_id, caller, key) VALUES ($1, $2, NULLIF($3, ''))`, id, caller, key)
		return err
	})
	if err != nil || known != nil {
		return nil, known, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	sp := &spool{store: s, id: id, stop: stop, ended: make(chan struct{})}
	go sp.beat(beating)
	return sp, nil, nil
}

// beat renews the entry until it is told to stop.
func (sp *spool) beat(ctx context.Context) {
	defer close(sp.ended)
	tick := time.NewTicker(spoolBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// An error shows when the next chunk is stored, or at the end.
		beat, cancel := context.WithTimeout(ctx, spoolBeat)
		_, _ = sp.store.db.ExecContext(beat, `UPDATE import_uploads SET alive_at = clock_timestamp() WHERE import_id = $1`, sp.id)
		cancel()
	}
}

// add stores a chunk. It does not wait for the disk: the commit of the import,
// which comes later in the same log, does.
func (sp *spool) add(ctx context.Context, seq int, chunk []byte) error {
	r, err := sp.store.db.ExecContext(ctx, `
		INSERT INTO import_chunks (import_id, seq, data)
		SELECT u.import_id, $2, $3
		  FROM (SELECT import_id FROM import_uploads WHERE import_id = $1 FOR KEY SHARE) u,
		       set_config('synchronous_commit', 'off', true)`, sp.id, seq, chunk)
	if err != nil {
		return err
	}
	return affectedOne(r, errSpoolLost)
}

// take removes the entry, for the import comes in its place, within the same
// transaction.
func (sp *spool) take(ctx context.Context, tx *sqlx.Tx, key string) error {
	r, err := tx.ExecContext(ctx, `DELETE FROM import_uploads WHERE import_id = $1 AND key IS NOT DISTINCT FROM NULLIF($2, '')`, sp.id, key)
	if err != nil {
		return err
	}
	return affectedOne(r, errSpoolLost)
}

// close ends the renewing. Of an upload that failed it removes entry and chunks.
func (sp *spool) close(ctx context.Context, failed bool) {
	sp.stop()
	<-sp.ended
	if !failed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spoolCleanup)
	defer cancel()
	for done := false; !done; {
		var err error
		if done, err = sp.store.removeSpool(ctx, sp.id); err != nil {
			return // the sweeper's now
		}
	}
}

// removeSpool removes a few chunks of an upload that failed, and its entry with
// the last. An import that has come of it after all keeps them.
func (s *Store) removeSpool(ctx context.Context, id uuid.UUID) (done bool, err error) {
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		var there []uuid.UUID
		if err := tx.SelectContext(ctx, &there, `SELECT import_id FROM import_uploads WHERE import_id = $1 FOR UPDATE`, id); err != nil {
			return err
		}
		if done = len(there) == 0; done {
			return nil
		}
		// Its key is free at once.
		if _, err := tx.ExecContext(ctx, `UPDATE import_uploads SET key = NULL WHERE import_id = $1 AND key IS NOT NULL`, id); err != nil {
			return err
		}
		if done, err = deleteChunks(ctx, tx, id); err != nil || !done {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM import_uploads WHERE import_id = $1`, id)
		return err
	})
	return done, err
}

// deleteChunks deletes a few chunks of a file. done: there are no more.
func deleteChunks(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) (done bool, err error) {
	return deleteSome(ctx, tx, `
		DELETE FROM import_chunks WHERE import_id = $1
		   AND seq IN (SELECT seq FROM import_chunks WHERE import_id = $1 ORDER BY seq LIMIT $2)`, id)
}

// deleteSheetChunks does the same to the converted sheet of a workbook.
func deleteSheetChunks(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) (done bool, err error) {
	return deleteSome(ctx, tx, `
		DELETE FROM import_sheets WHERE import_id = $1
		   AND seq IN (SELECT seq FROM import_sheets WHERE import_id = $1 ORDER BY seq LIMIT $2)`, id)
}

func deleteSome(ctx context.Context, tx *sqlx.Tx, query string, id uuid.UUID) (done bool, err error) {
	r, err := tx.ExecContext(ctx, query, id, purgeChunks)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n < purgeChunks, err
}

// PurgeUpload takes one step of removing uploads that ended with their process.
// done is true when nothing is left to remove.
func (s *Store) PurgeUpload(ctx context.Context) (done bool, err error) {
	defer translate(&err, "remove what is left of an upload")
	var dead []uuid.UUID
	if err := s.db.SelectContext(ctx, &dead, `
		SELECT import_id FROM import_uploads
		 WHERE alive_at < clock_timestamp() - make_interval(secs => $1) ORDER BY alive_at LIMIT 1`, seconds(spoolSwept)); err != nil || len(dead) == 0 {
		return err == nil, err
	}
	_, err = s.removeSpool(ctx, dead[0])
	return false, err
}
