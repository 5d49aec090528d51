package storage

import (
	"context"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// RowKey is the hash of a row's address or external_id. Two may have the same hash,
// so a row that is found by it has to be read and compared.
type RowKey struct {
	Hash uint64
	Row  int64
}

// EmailHash is the hash of an address, as it is compared, for the rows of one
// import.
func EmailHash(id uuid.UUID, emailKey string) uint64 { return rowHash(id, 'e', emailKey) }

// ExternalIDHash is the hash of a key for the rows of one import.
func ExternalIDHash(id uuid.UUID, key string) uint64 { return rowHash(id, 'x', key) }

func rowHash(id uuid.UUID, kind byte, text string) uint64 {
	seed := binary.BigEndian.Uint64(id[8:]) + uint64(kind) // the random half of the id
	return xxhash.Sum64String(text) ^ seed*0x9e3779b97f4a7c15
}

// AppendRowKeys appends the hashes of what a row is known by; none if neither its
// address nor its key can be read.
func AppendRowKeys(keys []RowKey, id uuid.UUID, p roster.UserFields, row int64) []RowKey {
	if email := ReadableEmail(p); email != "" {
		keys = append(keys, RowKey{EmailHash(id, email), row})
	}
	if p.ExternalID != "" {
		keys = append(keys, RowKey{ExternalIDHash(id, p.ExternalID), row})
	}
	return keys
}

// ReadableEmail is a row's address as it is compared, "" for none: that of a row
// whose cells are wrong, too.
func ReadableEmail(p roster.UserFields) string {
	if p.EmailKey != "" {
		return p.EmailKey
	}
	email, err := roster.EmailKey(p.Email)
	if err != nil {
		return ""
	}
	return email
}

const (
	rowKeyBuckets = 16
	allBuckets    = -1
	// smallRowKeys is how many hashes are not worth splitting.
	smallRowKeys = 2000
	rowKeyBytes  = 12
)

func rowKeyBucket(hash uint64) int64 { return int64(hash % rowKeyBuckets) }

// insertRowKeys stores the hashes of a batch of rows.
func insertRowKeys(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, keys []RowKey) error {
	if len(keys) == 0 {
		return nil
	}
	first := keys[0].Row
	type block struct {
		bucket int64
		data   []byte
	}
	blocks := make([]block, rowKeyBuckets)
	if len(keys) <= smallRowKeys {
		blocks = []block{{bucket: allBuckets}}
	}
	for i := range blocks {
		blocks[i].data = make([]byte, 0, (len(keys)/len(blocks)*9/8+8)*rowKeyBytes)
	}
	for _, k := range keys {
		b := &blocks[0]
		if len(blocks) > 1 {
			b = &blocks[rowKeyBucket(k.Hash)]
			b.bucket = rowKeyBucket(k.Hash)
		}
		b.data = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b.data, k.Hash), uint32(k.Row))
		first = min(first, k.Row)
	}
	kept := blocks[:0]
	for _, b := range blocks {
		if len(b.data) > 0 {
			kept = append(kept, b)
		}
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_row_keys (import_id, first_row, bucket, data)
		SELECT $1, $2, bucket, data FROM unnest($3::bigint[], $4::bytea[]) AS b (bucket, data)`,
		id, first, bigints(kept, func(b *block) int64 { return b.bucket }), byteas(kept, func(b *block) []byte { return b.data }))
	return err
}

// AddRowKeys stores the hashes of rows of an import that will be held, and renews the
// lease of its check. [ErrClaimLost] means that nothing was written.
func (s *Store) AddRowKeys(ctx context.Context, c *Claim, keys []RowKey) (err error) {
	defer translate(&err, "store hashes of rows of import %s", c.Import.ID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := renewCheck(ctx, tx, c); err != nil {
			return err
		}
		return insertRowKeys(ctx, tx, c.Import.ID, keys)
	})
}

// deleteRowKeys forgets what only edits need, once no row can be edited any more.
func deleteRowKeys(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM import_row_keys WHERE import_id = $1`, id)
	return err
}

// RowsWithHashes finds the rows of a checked import's file that have one of these
// hashes, and perhaps a few more rows.
func (s *Store) RowsWithHashes(ctx context.Context, id uuid.UUID, hashes []uint64) (rows []int64, err error) {
	defer translate(&err, "look for rows of import %s", id)
	wanted, buckets := make(map[uint64]bool, len(hashes)), []int64{allBuckets}
	for _, h := range hashes {
		wanted[h] = true
		buckets = append(buckets, rowKeyBucket(h))
	}
	found, err := s.db.QueryxContext(ctx, `SELECT data FROM import_row_keys WHERE import_id = $1 AND bucket = ANY($2::bigint[])`,
		id, bigints(buckets, func(b *int64) int64 { return *b }))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var data []byte
		if err := found.Scan(&data); err != nil {
			return nil, err
		}
		for ; len(data) >= rowKeyBytes; data = data[rowKeyBytes:] {
			if wanted[binary.BigEndian.Uint64(data)] {
				rows = append(rows, int64(binary.BigEndian.Uint32(data[8:])))
			}
		}
	}
	return rows, found.Err()
}

// RowHashes reads the hashes of all rows of a checked import's file.
func (s *Store) RowHashes(ctx context.Context, id uuid.UUID) (keys []RowKey, err error) {
	defer translate(&err, "read what rows of import %s are known by", id)
	found, err := s.db.QueryxContext(ctx, `SELECT data FROM import_row_keys WHERE import_id = $1`, id)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var data []byte
		if err := found.Scan(&data); err != nil {
			return nil, err
		}
		for ; len(data) >= rowKeyBytes; data = data[rowKeyBytes:] {
			keys = append(keys, RowKey{binary.BigEndian.Uint64(data), int64(binary.BigEndian.Uint32(data[8:]))})
		}
	}
	return keys, found.Err()
}

// linkedKeys bounds how many pairs one call of LinkedKeys returns.
const linkedKeys = 20_000

// LinkedKeys finds the users of a source who have one of the addresses or keys, and
// returns the addresses and keys of all of them.
func (s *Store) LinkedKeys(ctx context.Context, source string, emails, ids []string) (moreEmails, moreIDs []string, err error) {
	defer translate(&err, "look up addresses and keys of users")
	var pairs []struct {
		Email string `db:"email_key"`
		Key   string `db:"external_id"`
	}
	m := Matching{Source: source}
	if err := s.db.SelectContext(ctx, &pairs, `
		SELECT u.email_key, k.external_id FROM users u JOIN external_ids k ON k.user_id = u.id AND k.source = $1
		 WHERE u.email_key = ANY($2::text[])
		UNION
		SELECT u.email_key, k.external_id FROM external_ids k JOIN users u ON u.id = k.user_id
		 WHERE k.source = $1 AND k.external_id = ANY($3::text[])
		LIMIT $4`, m.source(), texts(emails, itself), texts(ids, itself), linkedKeys); err != nil {
		return nil, nil, err
	}
	for _, p := range pairs {
		moreEmails, moreIDs = append(moreEmails, p.Email), append(moreIDs, p.Key)
	}
	return moreEmails, moreIDs, nil
}
