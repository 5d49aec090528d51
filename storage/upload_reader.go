package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// OpenUpload reads an import's file from a byte on. Every chunk is a query of
// its own, so a slow reader holds no transaction open. A read returns
// [ErrPurged] once retention has taken the file. Its io.EOF is the end of the
// file: no other error is one or wraps one.
func (s *Store) OpenUpload(ctx context.Context, id uuid.UUID, offset int64) io.Reader {
	return &uploadReader{ctx: ctx, store: s, id: id, offset: offset, query: selectUploadChunk}
}

// OpenRows is like OpenUpload for what the rows of an import are read from: the
// upload, or the converted sheet of a workbook.
func (s *Store) OpenRows(ctx context.Context, i *roster.Import, offset int64) io.Reader {
	if !i.IsSheet() {
		return s.OpenUpload(ctx, i.ID, offset)
	}
	return &uploadReader{ctx: ctx, store: s, id: i.ID, offset: offset, query: selectSheetChunk}
}

// uploadReader has the chunk it hands out, and the one behind it on its way once
// a second one was asked for: who reads two reads all.
type uploadReader struct {
	ctx    context.Context
	store  *Store
	id     uuid.UUID
	offset int64
	query  string // of a chunk
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
		go func() { coming <- r.store.uploadedChunk(r.ctx, r.query, r.id, seq+1) }()
	}
	r.began = true
	return nil
}

// take waits for the chunk that is on its way, or reads it.
func (r *uploadReader) take(seq int64) uploadedChunk {
	if r.coming == nil {
		return r.store.uploadedChunk(r.ctx, r.query, r.id, seq)
	}
	c := <-r.coming // bounded by the same context
	r.coming = nil
	return c
}

// The upload of an import whose file was erased counts as purged.
const (
	selectUploadChunk = `
		SELECT c.data, i.size_bytes, i.finished_at IS NOT NULL AS ended, i.purged_at IS NOT NULL OR i.file_erased_at IS NOT NULL AS purged
		  FROM imports i LEFT JOIN import_chunks c ON c.import_id = i.id AND c.seq = $2
		 WHERE i.id = $1`
	selectSheetChunk = `
		SELECT c.data, i.converted_bytes AS size_bytes, i.finished_at IS NOT NULL AS ended, i.purged_at IS NOT NULL AS purged
		  FROM imports i LEFT JOIN import_sheets c ON c.import_id = i.id AND c.seq = $2
		 WHERE i.id = $1`
)

func (s *Store) uploadedChunk(ctx context.Context, query string, id uuid.UUID, seq int64) (c uploadedChunk) {
	c.err = s.transact(ctx, func(tx *sqlx.Tx) error {
		// Prepared, because only then the driver asks for bytea in binary. Closed
		// before the transaction ends: behind a pooler the next one runs on
		// another connection of the server.
		stmt, err := tx.PreparexContext(ctx, query)
		if err != nil {
			return err
		}
		return errors.Join(stmt.GetContext(ctx, &c, id, seq), stmt.Close())
	})
	return c
}

// UploadReaderAt reads an import's file at any place, for a file whose parts are
// not in order. It keeps a few chunks. It is not safe for concurrent use.
func (s *Store) UploadReaderAt(ctx context.Context, i *roster.Import) io.ReaderAt {
	return &uploadReaderAt{ctx: ctx, store: s, id: i.ID, size: i.Size}
}

// uploadReaderAt has the chunks it read last, the newest first.
type uploadReaderAt struct {
	ctx    context.Context
	store  *Store
	id     uuid.UUID
	size   int64
	recent []numberedChunk
}

type numberedChunk struct {
	seq  int64
	data []byte
}

// recentChunks are enough for a ZIP archive: one of its table of contents, one of the
// part that is read, and one to spare.
const recentChunks = 3

func (r *uploadReaderAt) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, fmt.Errorf("read upload at %d", at)
	}
	for n < len(p) && at < r.size {
		data, err := r.chunk(at / ChunkSize)
		if err != nil {
			return n, err
		}
		skip := int(at % ChunkSize)
		if skip >= len(data) {
			return n, fmt.Errorf("chunk %d of import %s is too short", at/ChunkSize, r.id)
		}
		copied := copy(p[n:], data[skip:])
		n += copied
		at += int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *uploadReaderAt) chunk(seq int64) (_ []byte, err error) {
	for k, c := range r.recent {
		if c.seq == seq {
			copy(r.recent[1:k+1], r.recent[:k])
			r.recent[0] = c
			return c.data, nil
		}
	}
	defer translate(&err, "read upload of import %s", r.id)
	c := r.store.uploadedChunk(r.ctx, selectUploadChunk, r.id, seq)
	switch {
	case c.err != nil:
		return nil, c.err
	case c.Purged, c.Data == nil && c.Ended:
		return nil, ErrPurged
	case c.Data == nil:
		return nil, fmt.Errorf("chunk %d is missing", seq)
	}
	if len(r.recent) < recentChunks {
		r.recent = append(r.recent, numberedChunk{})
	}
	copy(r.recent[1:], r.recent)
	r.recent[0] = numberedChunk{seq, c.Data}
	return c.Data, nil
}
