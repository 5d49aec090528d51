package storage

import (
	"context"
	"sync"

	"github.com/jmoiron/sqlx"
)

// prepared are statements asked so often that to plan one takes longer than to
// carry it out: PostgreSQL plans each once for a connection. Not for those whose
// plan depends on how many values an array holds, or on statistics: they are
// written so that there is one way to carry them out.
type prepared struct {
	mu sync.Mutex
	by map[string]*sqlx.Stmt
}

// statement prepares a query, or finds it prepared. Not to be called within a
// transaction, for it may need a connection of its own.
func (s *Store) statement(ctx context.Context, query string) (*sqlx.Stmt, error) {
	s.prepared.mu.Lock()
	known := s.prepared.by[query]
	s.prepared.mu.Unlock()
	if known != nil {
		return known, nil
	}
	fresh, err := s.db.PreparexContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.prepared.mu.Lock()
	defer s.prepared.mu.Unlock()
	if known := s.prepared.by[query]; known != nil { // somebody was quicker
		_ = fresh.Close()
		return known, nil
	}
	if s.prepared.by == nil {
		s.prepared.by = map[string]*sqlx.Stmt{}
	}
	s.prepared.by[query] = fresh
	return fresh, nil
}
