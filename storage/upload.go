package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// ChunkSize is how an upload is cut, in bytes: every chunk has this size but
// the last one, so the chunk of a byte is found by division.
const ChunkSize = 1 << 20

// Upload is a file on its way in.
type Upload struct {
	By             Entry
	IdempotencyKey string // "" for none
	// Next returns the file's next ChunkSize bytes, fewer only at the end,
	// and io.EOF after the last. The slice is used until the next call.
	Next func() ([]byte, error)
	// Finish is called once, after the last chunk: only then a multipart
	// body has told its options.
	Finish func() (filename string, o roster.Options, err error)
	// SealSecret makes the secret of the webhook, if the options name one
	// that the caller does not have yet.
	SealSecret Sealing
	// TraceParent is the span the work on the import belongs under, as a W3C
	// traceparent; "": none.
	TraceParent string
}

// Received is what became of an Upload.
type Received struct {
	Import   *roster.Import
	Created  bool  // false: the Idempotency-Key had led to this import before
	Dispatch int64 // number of the task to ring; 0 if nothing was created
	// Webhook was registered for the URL in the options; nil: none, or the
	// caller had it before.
	Webhook *Webhook
}

// ReceiveImport stores the bytes and the import row in one transaction: when it
// returns nil, both are committed. Memory is one chunk, whatever the size.
//
// With an Idempotency-Key the same bytes and options lead to the same import:
// [ErrKeyArriving] while the first is still arriving, [ErrKeyReused] for other
// bytes or options. Errors of Next and Finish are returned wrapped.
func (s *Store) ReceiveImport(ctx context.Context, u Upload) (_ Received, err error) {
	defer translate(&err, "receive import")
	tx, err := s.db.BeginTxx(ctx, nil) // not transact: a body cannot be read twice
	if err != nil {
		return Received{}, err
	}
	defer tx.Rollback()
	// A body comes as slowly as its sender's line; the reader bounds that.
	if _, err := tx.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = '5min'`); err != nil {
		return Received{}, err
	}
	received, err := receive(ctx, tx, u)
	if err != nil {
		return Received{}, err
	}
	return received, tx.Commit()
}

func receive(ctx context.Context, tx *sqlx.Tx, u Upload) (Received, error) {
	caller := u.By.Actor.Key()
	known, err := lockKey(ctx, tx, caller, u.IdempotencyKey)
	if err != nil {
		return Received{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Received{}, err
	}
	store := func(seq int, chunk []byte) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO import_chunks (import_id, seq, data) VALUES ($1, $2, $3)`, id, seq, chunk)
		return err
	}
	if known != nil {
		store = func(int, []byte) error { return nil } // read only to be compared
	}
	size, sum, err := drain(u.Next, store)
	if err != nil {
		return Received{}, err
	}
	filename, options, err := u.Finish()
	if err != nil {
		return Received{}, bodyError{err}
	}
	print, err := fingerprint(sum, options)
	if err != nil {
		return Received{}, err
	}
	if known != nil {
		if known.Fingerprint != print {
			return Received{}, ErrKeyReused
		}
		var r importRow
		if err := tx.GetContext(ctx, &r, `SELECT `+importColumns+` FROM imports WHERE id = $1`, known.ImportID); err != nil {
			return Received{}, err
		}
		i, err := r.asImport()
		return Received{Import: i}, err
	}
	i, err := insertImport(ctx, tx, id, u.By, newFile{filename, size, sum, u.TraceParent}, options)
	if err != nil {
		return Received{}, err
	}
	if u.IdempotencyKey != "" {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO idempotency_keys (caller, key, fingerprint, import_id) VALUES ($1, $2, $3, $4)`,
			caller, u.IdempotencyKey, print[:], id); err != nil {
			return Received{}, err
		}
	}
	var hook *Webhook
	if options.WebhookURL != "" {
		if hook, err = insertWebhook(ctx, tx, options.WebhookURL, u.SealSecret, u.By); err != nil {
			return Received{}, err
		}
	}
	return Received{Import: i, Created: true, Dispatch: 1, Webhook: hook}, nil
}

// drain hands every chunk to store and returns the size and hash of all.
func drain(next func() ([]byte, error), store func(seq int, chunk []byte) error) (size int64, sum [32]byte, err error) {
	hash := sha256.New()
	for seq := 0; ; seq++ {
		chunk, err := next()
		if errors.Is(err, io.EOF) {
			return size, [32]byte(hash.Sum(nil)), nil
		}
		if err != nil {
			return 0, sum, fmt.Errorf("read chunk %d: %w", seq, bodyError{err})
		}
		hash.Write(chunk)
		size += int64(len(chunk))
		if err := store(seq, chunk); err != nil {
			return 0, sum, fmt.Errorf("store chunk %d: %w", seq, err)
		}
	}
}

// knownKey is an Idempotency-Key that has led to an import.
type knownKey struct {
	Fingerprint [32]byte
	ImportID    uuid.UUID
}

// lockKey takes hold of an Idempotency-Key until the transaction ends, and
// returns what it led to, nil if nothing yet. The lock is advisory: it dies with
// the connection, so a server killed in mid-upload blocks nobody.
func lockKey(ctx context.Context, tx *sqlx.Tx, caller, key string) (*knownKey, error) {
	if key == "" {
		return nil, nil
	}
	var locked bool
	if err := tx.GetContext(ctx, &locked,
		`SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 0))`, caller, key); err != nil {
		return nil, err
	}
	if !locked {
		return nil, ErrKeyArriving
	}
	var row struct {
		Fingerprint []byte    `db:"fingerprint"`
		ImportID    uuid.UUID `db:"import_id"`
	}
	err := tx.GetContext(ctx, &row, `SELECT fingerprint, import_id FROM idempotency_keys WHERE caller = $1 AND key = $2`, caller, key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &knownKey{[32]byte(row.Fingerprint), row.ImportID}, nil
}

// fingerprint is what must be equal for two uploads to be the same.
func fingerprint(sum [32]byte, o roster.Options) ([32]byte, error) {
	options, err := json.Marshal(o) // map keys come sorted
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(append(sum[:], options...)), nil
}

// newFile is what is known of an upload once it is all there.
type newFile struct {
	name string
	size int64
	sum  [32]byte

	traceParent string // "" for none
}

func insertImport(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, by Entry, f newFile, o roster.Options) (*roster.Import, error) {
	var mapping *string
	if o.Mapping != nil {
		raw, err := json.Marshal(o.Mapping)
		if err != nil {
			return nil, err
		}
		text := string(raw)
		mapping = &text
	}
	var r importRow
	if err := tx.GetContext(ctx, &r, `
		INSERT INTO imports (id, dry_run, on_duplicate, send_invitations, encoding, delimiter, mapping, webhook_url,
		                     filename, size_bytes, sha256, actor_kind, actor_id, actor, dispatch, rung_at, trace_parent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, now(), NULLIF($15, ''))
		RETURNING `+importColumns,
		id, o.DryRun, o.OnDuplicate, o.SendInvitations, o.Encoding, o.Delimiter, mapping, o.WebhookURL,
		f.name, f.size, f.sum[:], by.Actor.Kind, by.Actor.ID, by.Actor.Label, f.traceParent); err != nil {
		return nil, err
	}
	entry := by.on("import.create", "import", id).with(map[string]any{"dry_run": o.DryRun, "size_bytes": f.size})
	if err := audit(ctx, tx, entry); err != nil {
		return nil, err
	}
	return r.asImport()
}

// OpenUpload reads an import's file from a byte on. Every chunk is a query of
// its own, so a slow reader holds no transaction open. A read returns
// [ErrPurged] once retention has taken the file. Its io.EOF is the end of the
// file: no other error is one or wraps one.
func (s *Store) OpenUpload(ctx context.Context, id uuid.UUID, offset int64) io.Reader {
	return &uploadReader{ctx: ctx, store: s, id: id, offset: offset}
}

// uploadReader has the chunk it hands out, and the one behind it on its way once
// a second one was asked for: who reads two reads all.
type uploadReader struct {
	ctx    context.Context
	store  *Store
	id     uuid.UUID
	offset int64
	chunk  []byte
	last   bool
	began  bool               // a chunk has been read
	coming chan uploadedChunk // the next one; nil: nobody has asked for it
}

// uploadedChunk is a chunk and what is known of its file, or why it cannot be read.
type uploadedChunk struct {
	Data   []byte `db:"data"`
	Size   int64  `db:"size_bytes"`
	Ended  bool   `db:"ended"`
	Purged bool   `db:"purged"`
	err    error
}

func (r *uploadReader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.last {
			return 0, io.EOF
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.offset += int64(n)
	return n, nil
}

func (r *uploadReader) fetch() (err error) {
	defer translate(&err, "read upload of import %s", r.id)
	seq := r.offset / ChunkSize
	c := r.take(seq)
	switch {
	case c.err != nil:
		return c.err
	case c.Purged:
		return ErrPurged
	case r.offset >= c.Size:
		r.last = true
		return nil
	case c.Data == nil && c.Ended:
		return ErrPurged // just now
	case c.Data == nil:
		return fmt.Errorf("chunk %d is missing", seq)
	}
	r.last = (seq+1)*ChunkSize >= c.Size
	if skip := int(r.offset % ChunkSize); skip < len(c.Data) {
		r.chunk = c.Data[skip:]
	}
	if r.began && !r.last {
		coming := make(chan uploadedChunk, 1) // whoever reads no further leaves it there
		r.coming = coming
		go func() { coming <- r.store.uploadedChunk(r.ctx, r.id, seq+1) }()
	}
	r.began = true
	return nil
}

// take waits for the chunk that is on its way, or reads it.
func (r *uploadReader) take(seq int64) uploadedChunk {
	if r.coming == nil {
		return r.store.uploadedChunk(r.ctx, r.id, seq)
	}
	c := <-r.coming // bounded by the same context
	r.coming = nil
	return c
}

func (s *Store) uploadedChunk(ctx context.Context, id uuid.UUID, seq int64) (c uploadedChunk) {
	// Prepared, because only then the driver asks for bytea in binary.
	stmt, err := s.statement(ctx, `
		SELECT c.data, i.size_bytes, i.finished_at IS NOT NULL AS ended, i.purged_at IS NOT NULL AS purged
		  FROM imports i LEFT JOIN import_chunks c ON c.import_id = i.id AND c.seq = $2
		 WHERE i.id = $1`)
	if err != nil {
		return uploadedChunk{err: err}
	}
	c.err = stmt.GetContext(ctx, &c, id, seq)
	return c
}
