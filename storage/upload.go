package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/apitypes"
	"rollcall/roster"
)

// ChunkSize is how an upload is cut, in bytes: every chunk has this size but
// the last one, so the chunk of a byte is found by division.
const ChunkSize = 1 << 20

// Upload is a file on its way in.
type Upload struct {
	By             AuditEntry
	IdempotencyKey string // "" for none
	// Next returns the file's next ChunkSize bytes, fewer only at the end,
	// and io.EOF after the last. The slice is used until the next call, the last
	// one until ReceiveImport returns.
	Next func() ([]byte, error)
	// Finish is called once, after the last chunk: only then a multipart
	// body has told its options.
	Finish func() (filename string, o roster.Options, err error)
	// Warnings are what the body gives reason to tell, asked for after Finish;
	// nil: nothing. They are no part of what an Idempotency-Key stands for.
	Warnings func() []roster.Warning
	// SealSecret makes the secret of the webhook, if the options name one
	// that the caller does not have yet.
	SealSecret NewSealedSecret
	// DailyBytes is how many bytes of files the caller may store on a day (UTC);
	// 0: any number.
	DailyBytes int64
	// TraceParent is the span the work on the import belongs under, as a W3C
	// traceparent; "": none.
	TraceParent string
}

// UploadResult is what became of an Upload.
type UploadResult struct {
	Import   *roster.Import
	Created  bool  // false: the Idempotency-Key had led to this import before
	Dispatch int64 // number of the task to ring; 0 if nothing was created
	// Webhook was registered for the URL in the options; nil: none, or the
	// caller had it before.
	Webhook *Webhook
}

// ReceiveImport stores the bytes and the import: when it returns nil, both are
// committed. A file of one chunk is stored with its import, in one transaction,
// once all of it is there. The chunks of a larger one are committed as they come
// and removed if the upload fails. Memory is one chunk, whatever the size, and no
// transaction is open while Next or Finish is called.
//
// With an Idempotency-Key the same bytes and options lead to the same import:
// [ErrKeyArriving] while the first is still arriving, [ErrKeyReused] for other
// bytes or options. [ErrBudget] if the file is more than what is left of
// DailyBytes. Errors of Next and Finish are returned wrapped.
func (s *Store) ReceiveImport(ctx context.Context, u Upload) (_ UploadResult, err error) {
	defer translate(&err, "receive import")
	id, err := uuid.NewV7()
	if err != nil {
		return UploadResult{}, err
	}
	r := reception{Upload: u, store: s, id: id}
	defer func() {
		if r.spool != nil {
			r.spool.close(ctx, err != nil)
		}
	}()
	size, sum, err := drain(u.Next, func(seq int, chunk []byte) error { return r.add(ctx, seq, chunk) })
	if err != nil {
		return UploadResult{}, err
	}
	filename, options, err := u.Finish()
	if err != nil {
		return UploadResult{}, bodyError{err}
	}
	tx, err := s.db.BeginTxx(ctx, readCommitted) // not transact: a secret may be sealed once only
	if err != nil {
		return UploadResult{}, err
	}
	defer tx.Rollback()
	received, err := r.commit(ctx, tx, newFile{filename, size, sum, u.TraceParent}, options)
	if err != nil {
		return UploadResult{}, err
	}
	return received, tx.Commit()
}

// reception is an upload being received.
type reception struct {
	Upload
	store   *Store
	id      uuid.UUID // of the import to be
	first   []byte    // the file's first chunk, until there is a second; nil: none
	spool   *spool    // of a file of several chunks; nil: there is no need of one, or not yet
	discard bool      // the file is read only to be compared
}

// add takes a chunk of the file. The first one is shorter than [ChunkSize] only
// if it is the last.
func (r *reception) add(ctx context.Context, seq int, chunk []byte) error {
	if r.discard {
		return nil
	}
	if seq == 0 && len(chunk) < ChunkSize {
		r.first = chunk
		return nil
	}
	if seq == 0 {
		spool, known, err := r.store.openSpool(ctx, r.id, r.By.Actor.Key(), r.IdempotencyKey)
		if r.spool, r.discard = spool, known != nil; err != nil || known != nil {
			return err
		}
	}
	if r.spool == nil {
		return fmt.Errorf("chunk %d follows a short one", seq)
	}
	return r.spool.add(ctx, seq, chunk)
}

// commit writes the import, and the file if it is not there yet.
func (r *reception) commit(ctx context.Context, tx *sqlx.Tx, f newFile, options roster.Options) (UploadResult, error) {
	caller := r.By.Actor.Key()
	print, err := fingerprint(f.sum, options)
	if err != nil {
		return UploadResult{}, err
	}
	if r.spool != nil {
		if err := r.spool.take(ctx, tx, r.IdempotencyKey); err != nil {
			return UploadResult{}, err
		}
	}
	known, err := lockKey(ctx, tx, caller, r.IdempotencyKey)
	switch {
	case err != nil:
		return UploadResult{}, err
	case known != nil:
		return knownImport(ctx, tx, known, print)
	case r.discard:
		return UploadResult{}, ErrKeyArriving // what it led to was purged meanwhile: send it again
	}
	if r.first != nil {
		if _, err := tx.ExecContext(ctx, `INSERT INTO import_chunks (import_id, seq, data) VALUES ($1, 0, $2)`, r.id, r.first); err != nil {
			return UploadResult{}, err
		}
	}
	i, err := insertImport(ctx, tx, r.id, r.By, f, options)
	if err != nil {
		return UploadResult{}, err
	}
	if r.Warnings != nil {
		if err := setWarnings(ctx, tx, i, r.Warnings()); err != nil {
			return UploadResult{}, err
		}
	}
	if r.IdempotencyKey != "" {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO idempotency_keys (caller, key, fingerprint, import_id) VALUES ($1, $2, $3, $4)`,
			caller, r.IdempotencyKey, print[:], r.id); err != nil {
			return UploadResult{}, err
		}
	}
	var hook *Webhook
	if options.WebhookURL != "" {
		if hook, err = insertWebhook(ctx, tx, options.WebhookURL, apitypes.ImportEvents(), r.SealSecret, r.By); err != nil {
			return UploadResult{}, err
		}
		if err := followImports(ctx, tx, options.WebhookURL, r.By.Actor); err != nil {
			return UploadResult{}, err
		}
	}
	if err := spendBudget(ctx, tx, r.By.Actor, f.size, r.DailyBytes); err != nil { // last: uploads of one caller wait here for each other
		return UploadResult{}, err
	}
	return UploadResult{Import: i, Created: true, Dispatch: 1, Webhook: hook}, nil
}

// knownImport is what an Idempotency-Key led to, if the bytes and options are the
// same.
func knownImport(ctx context.Context, tx *sqlx.Tx, known *knownKey, print [32]byte) (UploadResult, error) {
	if known.Fingerprint != print {
		return UploadResult{}, ErrKeyReused
	}
	var r importRow
	if err := tx.GetContext(ctx, &r, `SELECT `+importColumns+` FROM imports WHERE id = $1`, known.ImportID); err != nil {
		return UploadResult{}, err
	}
	i, err := r.asImport()
	return UploadResult{Import: i}, err
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
// returns what it led to, nil if nothing yet. [ErrKeyArriving] while another
// upload has it. The entry of one whose process has ended lets it go after
// [spoolDead].
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
	if _, err := tx.ExecContext(ctx, `
		UPDATE import_uploads SET key = NULL
		 WHERE caller = $1 AND key = $2 AND alive_at < clock_timestamp() - make_interval(secs => $3)`, caller, key, seconds(spoolDead)); err != nil {
		return nil, err
	}
	var arriving bool
	if err := tx.GetContext(ctx, &arriving, `SELECT EXISTS (SELECT FROM import_uploads WHERE caller = $1 AND key = $2)`, caller, key); err != nil {
		return nil, err
	}
	if arriving {
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

func insertImport(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, by AuditEntry, f newFile, o roster.Options) (*roster.Import, error) {
	var mapping *string
	if o.Mapping != nil {
		raw, err := json.Marshal(o.Mapping)
		if err != nil {
			return nil, err
		}
		text := string(raw)
		mapping = &text
	}
	var valueMap *string
	if o.ValueMap != nil {
		var err error
		if valueMap, err = jsonText(o.ValueMap); err != nil {
			return nil, err
		}
	}
	var r importRow
	if err := tx.GetContext(ctx, &r, `
		INSERT INTO imports (id, dry_run, on_duplicate, send_invitations, encoding, delimiter, mapping, webhook_url,
		                     filename, size_bytes, sha256, actor_kind, actor_id, actor, dispatch, enqueued_at, trace_parent, blank, source, missing, max_disable,
		                     value_map, profile, attributes, sheet, header_row, notify)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, now(), NULLIF($15, ''), $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
		RETURNING `+importColumns,
		id, o.DryRun, o.OnDuplicate, o.SendInvitations, o.Encoding, o.Delimiter, mapping, o.WebhookURL,
		f.name, f.size, f.sum[:], by.Actor.Kind, by.Actor.ID, by.Actor.Label, f.traceParent, cmp.Or(o.Blank, roster.BlankKeep), cmp.Or(o.Source, roster.DefaultSource),
		cmp.Or(o.Missing, roster.MissingKeep), o.MaxDisable, valueMap, o.Profile, textArray(append([]string{}, o.Attributes...)), o.Sheet, o.HeaderRow, textArray(append([]string{}, o.Notify...))); err != nil {
		return nil, err
	}
	entry := by.on("import.create", "import", id).with(map[string]any{"dry_run": o.DryRun, "size_bytes": f.size})
	if err := audit(ctx, tx, entry); err != nil {
		return nil, err
	}
	return r.asImport()
}

// setWarnings stores the warnings that a new import begins with.
func setWarnings(ctx context.Context, tx *sqlx.Tx, i *roster.Import, warnings []roster.Warning) error {
	if len(warnings) == 0 {
		return nil
	}
	text, err := jsonText(warnings)
	if err != nil {
		return err
	}
	i.Warnings = warnings
	return tx.GetContext(ctx, &i.Revision, `UPDATE imports SET warnings = $2 WHERE id = $1 RETURNING revision`, i.ID, text)
}
