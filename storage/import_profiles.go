package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// MaxImportProfiles is how many import profiles there may be.
const MaxImportProfiles = 200

var (
	// ErrTooManyProfiles is returned for a profile beyond [MaxImportProfiles].
	ErrTooManyProfiles = errors.New("too many import profiles")
	// ErrPrecondition is returned for a change whose condition does not hold.
	ErrPrecondition = errors.New("precondition failed")
)

// ImportProfile is a named set of options of imports.
type ImportProfile struct {
	ID        uuid.UUID
	Name      string
	Options   map[string]json.RawMessage // only those that are set, checked by the caller
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Tag changes with every change of the profile, and is another one's after it was
// deleted and created again.
func (p *ImportProfile) Tag() string { return fmt.Sprintf("%s.%d", p.ID, p.Version) }

type importProfileRow struct {
	ID        uuid.UUID `db:"id"`
	Name      string    `db:"name"`
	Options   []byte    `db:"options"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

func (r *importProfileRow) asProfile() (*ImportProfile, error) {
	p := &ImportProfile{ID: r.ID, Name: r.Name, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	if err := json.Unmarshal(r.Options, &p.Options); err != nil {
		return nil, fmt.Errorf("read options: %w", err)
	}
	return p, nil
}

// ImportProfiles lists all profiles by name; there are at most MaxImportProfiles.
func (s *Store) ImportProfiles(ctx context.Context) (profiles []*ImportProfile, err error) {
	defer translate(&err, "list import profiles")
	var rows []importProfileRow
	if err := s.db.SelectContext(ctx, &rows, `
		SELECT id, name, options, version, created_at, updated_at FROM import_profiles ORDER BY name LIMIT $1`, MaxImportProfiles); err != nil {
		return nil, err
	}
	for k := range rows {
		p, err := rows[k].asProfile()
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// ImportProfile reads one profile. [ErrNotFound] if there is none of this name.
func (s *Store) ImportProfile(ctx context.Context, name string) (_ *ImportProfile, err error) {
	defer translate(&err, "read import profile")
	var r importProfileRow
	if err := s.db.GetContext(ctx, &r, `
		SELECT id, name, options, version, created_at, updated_at FROM import_profiles WHERE name = $1`, name); err != nil {
		return nil, err
	}
	return r.asProfile()
}

// ProfileCondition is what must hold of the profile that is there, nil for none;
// a nil condition always holds.
type ProfileCondition func(*ImportProfile) bool

// SetImportProfile creates a profile or replaces its options. created tells which.
// [ErrPrecondition] if the condition does not hold.
func (s *Store) SetImportProfile(ctx context.Context, name string, options map[string]json.RawMessage, holds ProfileCondition, by AuditEntry) (p *ImportProfile, created bool, err error) {
	defer translate(&err, "store import profile")
	id, err := uuid.NewV7()
	if err != nil {
		return nil, false, err
	}
	text, err := jsonText(options)
	if err != nil {
		return nil, false, err
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		before, err := lockProfile(ctx, tx, name, holds)
		if err != nil {
			return err
		}
		created = before == nil
		var r importProfileRow
		if created {
			if err := roomForProfile(ctx, tx); err != nil {
				return err
			}
			err = tx.GetContext(ctx, &r, `
				INSERT INTO import_profiles (id, name, options) VALUES ($1, $2, $3)
				RETURNING id, name, options, version, created_at, updated_at`, id, name, text)
		} else {
			err = tx.GetContext(ctx, &r, `
				UPDATE import_profiles SET options = $2, version = version + 1, updated_at = now() WHERE id = $1
				RETURNING id, name, options, version, created_at, updated_at`, before.ID, text)
		}
		if err != nil {
			return err
		}
		if p, err = r.asProfile(); err != nil {
			return err
		}
		detail := map[string]any{"name": name, "before": profileFacts(before), "after": profileFacts(p)}
		return audit(ctx, tx, by.on("profile.set", "import_profile", p.ID).with(detail))
	})
	return p, created, err
}

// DeleteImportProfile removes a profile. [ErrNotFound] if there is none of this
// name, [ErrPrecondition] if the condition does not hold.
func (s *Store) DeleteImportProfile(ctx context.Context, name string, holds ProfileCondition, by AuditEntry) (err error) {
	defer translate(&err, "delete import profile")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		before, err := lockProfile(ctx, tx, name, holds)
		if err != nil {
			return err
		}
		if before == nil {
			return ErrNotFound
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_profiles WHERE id = $1`, before.ID); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("profile.delete", "import_profile", before.ID).with(map[string]any{"name": name, "before": profileFacts(before)}))
	})
}

// lockProfile keeps all profiles as they are until the transaction ends: they are
// changed rarely, and counted. It returns the one of this name, nil for none.
func lockProfile(ctx context.Context, tx *sqlx.Tx, name string, holds ProfileCondition) (*ImportProfile, error) {
	if _, err := tx.ExecContext(ctx, `LOCK TABLE import_profiles IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return nil, err
	}
	var p *ImportProfile
	var r importProfileRow
	err := tx.GetContext(ctx, &r, `SELECT id, name, options, version, created_at, updated_at FROM import_profiles WHERE name = $1`, name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	default:
		if p, err = r.asProfile(); err != nil {
			return nil, err
		}
	}
	if holds != nil && !holds(p) {
		return nil, ErrPrecondition
	}
	return p, nil
}

func roomForProfile(ctx context.Context, tx *sqlx.Tx) error {
	var n int
	if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM import_profiles`); err != nil {
		return err
	}
	if n >= MaxImportProfiles {
		return ErrTooManyProfiles
	}
	return nil
}

// profileFacts is a profile as the audit log tells it: its options as they are
// stored, for what values mean and who is disabled is worth knowing later.
func profileFacts(p *ImportProfile) map[string]any {
	facts := map[string]any{}
	if p == nil {
		return facts
	}
	for name, raw := range p.Options {
		facts[name] = raw
	}
	return facts
}
