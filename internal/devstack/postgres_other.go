//go:build !unix

package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// PostgresConfig says where a private PostgreSQL lives.
type PostgresConfig struct {
	Dir       string
	Log       io.Writer
	Ephemeral bool
	Settings  map[string]string
}

// Postgres is a running private PostgreSQL. This system has none: it needs Unix
// sockets in a closed directory and accounts to run as.
type Postgres struct{}

// StartPostgres fails with an error that wraps [errors.ErrUnsupported].
func StartPostgres(context.Context, PostgresConfig) (*Postgres, error) {
	return nil, fmt.Errorf("a private PostgreSQL is available on Linux, macOS and the BSDs only; set DATABASE_URL to a running database: %w", errors.ErrUnsupported)
}

// URL returns "".
func (p *Postgres) URL() string { return "" }

// Version returns "".
func (p *Postgres) Version() string { return "" }

// Done returns nil.
func (p *Postgres) Done() <-chan struct{} { return nil }

// Stop does nothing.
func (p *Postgres) Stop(context.Context) error { return nil }
