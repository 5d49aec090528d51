package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// DataSubject is whom an erasure or an export is about.
type DataSubject struct {
	UserID   uuid.UUID `db:"id"`
	Email    string    `db:"email"`
	EmailKey string    `db:"email_key"`
	Name     string    `db:"name"`
}

// DataSubject reads who a user is. ErrNotFound if there is none.
func (s *Store) DataSubject(ctx context.Context, id uuid.UUID) (p DataSubject, err error) {
	defer translate(&err, "read person %s", id)
	return p, s.db.GetContext(ctx, &p, `SELECT id, email, email_key, name FROM users WHERE id = $1`, id)
}

// DataSubjectByKey is Person by address.
func (s *Store) DataSubjectByKey(ctx context.Context, emailKey string) (p DataSubject, err error) {
	defer translate(&err, "read person")
	return p, s.db.GetContext(ctx, &p, `SELECT id, email, email_key, name FROM users WHERE email_key = $1`, emailKey)
}

// KeptFile is an import whose file is still there.
type KeptFile struct {
	ID     uuid.UUID `db:"id"`
	Ended  bool      `db:"ended"`
	Usable bool      `db:"usable"` // it has a header
	// HeaderRow is the row of the header that was asked for; 0: the first one.
	HeaderRow int64 `db:"header_row"`
	Size      int64 `db:"size_bytes"`
	Converted bool  `db:"converted"` // its rows are those of a workbook's sheet, in a place of their own
	Erased    bool  `db:"erased"`    // only the rows are still there
}

// Rows is the import for [Store.OpenRows] and [Store.UploadReaderAt].
func (f KeptFile) Rows() *roster.Import {
	return &roster.Import{ID: f.ID, Size: f.Size, Workbook: &roster.Workbook{Converted: f.Converted}}
}

// KeptFiles lists the imports whose files are still there, by id.
func (s *Store) KeptFiles(ctx context.Context, after uuid.UUID, limit int) (files []KeptFile, err error) {
	defer translate(&err, "list kept files")
	return files, s.db.SelectContext(ctx, &files, `
		SELECT id, finished_at IS NOT NULL AS ended, header IS NOT NULL AS usable, header_row, size_bytes,
		       converted_bytes IS NOT NULL AS converted, file_erased_at IS NOT NULL AS erased
		  FROM imports
		 WHERE purged_at IS NULL AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// RecordRange is a record of an uploaded file: its bytes, and its lines from 1.
type RecordRange struct {
	From, To            int64 // the byte behind the last
	FirstLine, LastLine int64
}

// RedactUpload blanks records of an import that has ended, in its file and in its
// errors. mask overwrites bytes in place; it is given the offset of the first one
// in the file. ErrWrongState if the import has not ended, ErrPurged if the file is
// gone; some records may be blanked by then.
func (s *Store) RedactUpload(ctx context.Context, id uuid.UUID, records []RecordRange, mask func(data []byte, offset int64)) (err error) {
	return s.redact(ctx, uploadChunks, id, records, mask)
}

// RedactSheet is [Store.RedactUpload] for the converted sheet of a workbook.
func (s *Store) RedactSheet(ctx context.Context, id uuid.UUID, records []RecordRange, mask func(data []byte, offset int64)) (err error) {
	return s.redact(ctx, sheetChunks, id, records, mask)
}

// EraseUpload deletes the upload of an import that has ended and keeps its rows, if
// they are those of a workbook's sheet: within a workbook nothing can be blanked.
// ErrWrongState if the import has not ended, ErrPurged if the file is gone.
func (s *Store) EraseUpload(ctx context.Context, id uuid.UUID) (err error) {
	defer translate(&err, "erase the file of import %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockEnded(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_chunks WHERE import_id = $1`, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE imports SET file_erased_at = now(), revision = revision + 1 WHERE id = $1`, id)
		return err
	})
}

// lockEnded locks an import that has ended and whose file is still there.
func lockEnded(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	var ended, purged bool
	err := tx.QueryRowxContext(ctx, `
		SELECT finished_at IS NOT NULL, purged_at IS NOT NULL FROM imports WHERE id = $1 FOR UPDATE`, id).Scan(&ended, &purged)
	switch {
	case err != nil:
		return err
	case !ended:
		return ErrWrongState
	case purged:
		return ErrPurged
	}
	return nil
}

// chunkQueries read and write the chunks of one kind of file.
type chunkQueries struct{ read, write string }

var (
	uploadChunks = chunkQueries{
		`SELECT data FROM import_chunks WHERE import_id = $1 AND seq = $2`,
		`UPDATE import_chunks SET data = $3 WHERE import_id = $1 AND seq = $2`}
	sheetChunks = chunkQueries{
		`SELECT data FROM import_sheets WHERE import_id = $1 AND seq = $2`,
		`UPDATE import_sheets SET data = $3 WHERE import_id = $1 AND seq = $2`}
)

func (s *Store) redact(ctx context.Context, q chunkQueries, id uuid.UUID, records []RecordRange, mask func(data []byte, offset int64)) (err error) {
	defer translate(&err, "redact the file of import %s", id)
	chunks := map[int64]bool{}
	for _, r := range records {
		for seq := r.From / ChunkSize; seq*ChunkSize < r.To; seq++ {
			chunks[seq] = true
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(chunks)) { // each in a transaction of its own, in nobody's way
		if err := s.transact(ctx, func(tx *sqlx.Tx) error { return redactChunk(ctx, tx, q, id, seq, records, mask) }); err != nil {
			return err
		}
	}
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := blankRowErrors(ctx, tx, id, records); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE imports SET revision = revision + 1 WHERE id = $1`, id)
		return err
	})
}

func redactChunk(ctx context.Context, tx *sqlx.Tx, q chunkQueries, id uuid.UUID, seq int64, records []RecordRange, mask func([]byte, int64)) error {
	if err := lockEnded(ctx, tx, id); err != nil {
		return err
	}
	var data []byte
	err := tx.GetContext(ctx, &data, q.read, id, seq)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrPurged
	}
	if err != nil {
		return err
	}
	for _, r := range records {
		from, to := max(r.From, seq*ChunkSize), min(r.To, (seq+1)*ChunkSize)
		if from < to {
			mask(data[from-seq*ChunkSize:to-seq*ChunkSize], from)
		}
	}
	_, err = tx.ExecContext(ctx, q.write, id, seq, data)
	return err
}

// EraseUser removes a user and what else the database holds of the person, but
// for the files of imports: see [Store.RedactUpload]. spellings are the ways to
// write the person's address. What the person did stays in the audit log and on
// the imports, under a label made of mark, a keyed hash. [ErrLastAdmin] if no active
// administrator would be left.
func (s *Store) EraseUser(ctx context.Context, p DataSubject, spellings []string, mark string, by AuditEntry) (err error) {
	defer translate(&err, "erase user %s", p.UserID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := removeUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		label, address := "erased:"+mark, addressPattern(spellings)
		written, err := inJSON(p.Email)
		if err != nil {
			return err
		}
		for _, step := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM replaced_invitations WHERE address = sha256(convert_to($1, 'UTF8'))`, []any{p.EmailKey}},
			{`DELETE FROM password_resets WHERE email_key = $1`, []any{p.EmailKey}},
			{`UPDATE api_tokens SET created_by = $2 WHERE created_by = $1`, []any{p.Email, label}},
			{`DELETE FROM notices WHERE user_id IS NULL AND email = $1`, []any{p.EmailKey}},
			{`UPDATE imports SET notify = array_remove(notify, $1) WHERE notify @> ARRAY[$1]`, []any{p.EmailKey}},
			{`UPDATE api_tokens SET notify = array_remove(notify, $1) WHERE notify @> ARRAY[$1]`, []any{p.EmailKey}},
			{`UPDATE notices SET actor = $2 WHERE actor_id = $1`, []any{p.UserID, label}},
			{`UPDATE settings SET updated_by = $2 WHERE updated_by = $1`, []any{p.Email, label}},
			{`UPDATE webhooks SET actor = $2 WHERE actor_kind = 'user' AND actor_id = $1`, []any{p.UserID, label}},
			// As it was sent, or is still to be: the events of the imports the
			// person started name who started them.
			{`UPDATE webhook_deliveries d SET body = convert_to(replace(convert_from(d.body, 'UTF8'), $2, $3), 'UTF8')
			    FROM imports i WHERE i.id = d.import_id AND i.actor_kind = 'user' AND i.actor_id = $1`, []any{p.UserID, written, label}},
			{`UPDATE imports SET actor = $2, revision = revision + 1 WHERE actor_kind = 'user' AND actor_id = $1`, []any{p.UserID, label}},
			{`UPDATE notices SET detail = jsonb_set(detail, '{filename}', '"(deleted)"') WHERE detail->>'filename' ~* $1`,
				[]any{strings.Trim(address+"|"+namePattern(p.Name), "|")}},
			{eraseDetails, []any{strings.Trim(address+"|"+namePattern(p.Name), "|")}},
			{`UPDATE imports SET revision = revision + 1,
			         warnings = (SELECT jsonb_agg(w - 'sample') FROM jsonb_array_elements(warnings) w)
			   WHERE EXISTS (SELECT FROM jsonb_array_elements(warnings) w WHERE strpos(w->>'sample', $1) > 0)`, []any{p.Name}},
			// Of an import that has not ended nothing is taken away: it would do something
			// else than was previewed.
			{`DELETE FROM import_edits e USING imports i
			   WHERE i.id = e.import_id AND i.finished_at IS NOT NULL
			     AND (e.email_key = $1 OR concat_ws(' ', e.file_text, e.cells::text, e.file_problems::text) ~* $2)`,
				[]any{p.EmailKey, strings.Trim(address+"|"+namePattern(p.Name), "|")}},
			{`SELECT audit_anonymize($1, $2)`, []any{p.UserID, label}},
		} {
			if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		if err := eraseRowErrors(ctx, tx, address, p.Name); err != nil {
			return err
		}
		if by.Actor.Kind == roster.ActorUser && by.Actor.ID == p.UserID {
			by.Actor.Label, by.Address = label, "" // one's own erasure
		}
		return audit(ctx, tx, by.on("user.erase", "user", p.UserID).with(map[string]any{"person": mark}))
	})
}

// deferredAbout finds the deferred rows d of imports i that are about the user $1
// with the address $2: by the address, or by the user's key in their source.
const deferredAbout = `(d.fields->'User'->>'EmailKey' = $2 OR EXISTS (
	SELECT FROM external_ids k WHERE k.user_id = $1 AND k.source = i.source AND k.external_id = d.fields->'User'->>'ExternalID'))`

// removeUser deletes a user with invitation and sessions, and keeps the counters
// of the import right.
func removeUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	if err := lockImportsOf(ctx, tx, oneUUID(id)); err != nil {
		return err
	}
	admins, err := lockActiveAdmins(ctx, tx)
	if err != nil {
		return err
	}
	activeAdmin, err := lockedUser(ctx, tx, id)
	if err != nil {
		return err
	}
	if activeAdmin && admins == 1 {
		return ErrLastAdmin
	}
	var gone []statusChange
	if err := tx.SelectContext(ctx, &gone, `
		WITH gone AS (DELETE FROM invitations WHERE user_id = $1 RETURNING import_id, status)
		SELECT import_id, status AS old, '' AS new, 1 AS n FROM gone WHERE import_id IS NOT NULL`, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, forgetInSearch, id); err != nil {
		return err
	}
	return countMoves(ctx, tx, gone)
}

// inJSON is how a text stands within a JSON document of ours, without its quotes.
func inJSON(s string) (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return string(raw[1 : len(raw)-1]), nil
}

// eraseDetails takes a person out of what came with files: their names, headers
// and mappings, and the texts of warnings and failures. Only what names the person
// goes; $1 is the pattern that finds them.
const eraseDetails = `
	UPDATE imports SET
	       filename = CASE WHEN filename ~* $1 THEN '(deleted)' ELSE filename END,
	       header = (SELECT array_agg(CASE WHEN h ~* $1 THEN '(deleted)' ELSE h END ORDER BY n) FROM unnest(header) WITH ORDINALITY AS c (h, n)),
	       mapping = CASE WHEN mapping::text ~* $1 THEN NULL ELSE mapping END,
	       value_map = CASE WHEN value_map::text ~* $1 THEN NULL ELSE value_map END,
	       role_values = CASE WHEN role_values::text ~* $1 THEN NULL ELSE role_values END,
	       sheet = CASE WHEN sheet ~* $1 THEN '' ELSE sheet END,
	       workbook = CASE WHEN workbook::text ~* $1 THEN workbook - 'sheet' || '{"sheets": []}'::jsonb ELSE workbook END,
	       failure = CASE WHEN failure::text ~* $1 THEN failure - 'mapping' || '{"message": "The details were deleted."}'::jsonb ELSE failure END,
	       warnings = (SELECT COALESCE(jsonb_agg(CASE WHEN w::text ~* $1
	                              THEN w - 'columns' - 'mapping' - 'sample' || '{"message": "The details were deleted."}'::jsonb ELSE w END ORDER BY n), '[]')
	                     FROM jsonb_array_elements(warnings) WITH ORDINALITY AS e (w, n)),
	       revision = revision + 1
	 WHERE concat_ws(' ', filename, header::text, mapping::text, value_map::text, role_values::text, sheet, workbook::text, warnings::text, failure::text) ~* $1`

// addressPattern is a regular expression that finds an address in a text, and not
// within a longer one.
func addressPattern(spellings []string) string {
	quoted := make([]string, len(spellings))
	for i, s := range spellings {
		quoted[i] = regexp.QuoteMeta(s)
	}
	return `(^|[^a-z0-9._+-])(` + strings.Join(quoted, "|") + `)($|[^a-z0-9.-]|[.-]($|[^a-z0-9]))`
}

// namePattern finds a name however its words are set apart, as in jane_doe.csv.
// A name of one word is too likely to be a word: it finds none ("").
func namePattern(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) })
	if len(words) < 2 {
		return ""
	}
	return `(^|[^a-z0-9])` + strings.Join(words, `[^a-z0-9]{0,4}`) + `($|[^a-z0-9])`
}

// eraseRowErrors blanks address and values of failed rows that name a person. The
// pages that showed them are others then.
func eraseRowErrors(ctx context.Context, tx *sqlx.Tx, address, name string) error {
	pattern, err := regexp.Compile("(?i)" + address)
	if err != nil {
		return err
	}
	names := func(s string) bool { return s == name || pattern.MatchString(s) }
	erased := map[uuid.UUID]bool{}
	err = eachErrorBlock(ctx, tx, uuid.Nil, func(id uuid.UUID, rows []roster.RowError) (changed bool) {
		for i := range rows {
			r := &rows[i]
			if pattern.MatchString(r.Email) || slices.ContainsFunc(r.Problems, func(q roster.Problem) bool { return names(q.Value) || names(q.Suggestion) }) {
				blankRowError(r)
				changed, erased[id] = true, true
			}
		}
		return changed
	})
	if err != nil {
		return err
	}
	ids := slices.Collect(maps.Keys(erased))
	_, err = tx.ExecContext(ctx, `UPDATE imports SET revision = revision + 1 WHERE id = ANY($1::uuid[])`,
		uuids(ids, func(id *uuid.UUID) uuid.UUID { return *id }))
	return err
}

// blankRowErrors blanks address and values of the failed rows among records.
func blankRowErrors(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, records []RecordRange) error {
	return eachErrorBlock(ctx, tx, id, func(_ uuid.UUID, rows []roster.RowError) (changed bool) {
		for i := range rows {
			line := rows[i].Line
			if slices.ContainsFunc(records, func(r RecordRange) bool { return r.FirstLine <= line && line <= r.LastLine }) {
				blankRowError(&rows[i])
				changed = true
			}
		}
		return changed
	})
}

// blankRowError leaves of a failed row what it has of no one: where and why it
// failed.
func blankRowError(r *roster.RowError) {
	r.Email = ""
	for k := range r.Problems {
		r.Problems[k].Value, r.Problems[k].Suggestion = "", ""
	}
}
