package importer

import (
	"context"
	"maps"
	"slices"

	"rollcall/roster"
	"rollcall/storage"
)

// maxTied is how many rows one edit looks at.
const maxTied = 5000

// findTied finds the rows that the edits may concern: those with an address or key
// that an edited row has or had; those with one of theirs, and so on. A user whom a
// row is about ties those with the user's key to those with the user's address. What
// a row had that failed for its own values does not matter: such a row has no effect
// on others.
func (t *editRun) findTied(ctx context.Context) error {
	for _, row := range t.targets {
		t.tied[row] = true
		t.addKeys(t.rows[row].person)
		if len(t.before[row].problems) == 0 || t.isRoster() {
			t.addKeys(t.before[row].person)
		}
	}
	for seen := -1; seen < len(t.emails)+len(t.ids); {
		seen = len(t.emails) + len(t.ids)
		if err := t.addLinked(ctx); err != nil {
			return err
		}
		if err := t.readCandidates(ctx); err != nil {
			return err
		}
		for number, r := range t.rows {
			if t.has(r) {
				t.tied[number] = true
				t.addKeys(r.person)
			}
		}
	}
	return nil
}

func (t *editRun) isRoster() bool { return t.of.Import.Options.Missing == roster.MissingDisable }

func (t *editRun) addKeys(p roster.UserFields) {
	if email := storage.ReadableEmail(p); email != "" {
		t.emails[email] = true
	}
	if p.ExternalID != "" {
		t.ids[p.ExternalID] = true
	}
}

func (t *editRun) has(r *fileRow) bool {
	email := storage.ReadableEmail(r.person)
	return email != "" && t.emails[email] || r.person.ExternalID != "" && t.ids[r.person.ExternalID]
}

// addLinked adds the addresses and keys of the users who have one of those known.
func (t *editRun) addLinked(ctx context.Context) error {
	if !t.hasColumn(roster.ColumnExternalID) {
		return nil
	}
	emails, ids, err := t.run.importer.store.LinkedKeys(ctx, t.of.Import.Options.Source, slices.Collect(maps.Keys(t.emails)), slices.Collect(maps.Keys(t.ids)))
	for k := range emails {
		t.emails[emails[k]], t.ids[ids[k]] = true, true
	}
	return err
}

// hasColumn reports whether the file has a column. There is at least one target.
func (t *editRun) hasColumn(column roster.Column) bool {
	_, has := t.rows[t.targets[0]].values[column]
	return has
}

// readCandidates reads the rows that may have one of the addresses and keys.
func (t *editRun) readCandidates(ctx context.Context) error {
	id := t.of.Import.ID
	var hashes []uint64
	for email := range t.emails {
		hashes = append(hashes, storage.EmailHash(id, email))
	}
	for key := range t.ids {
		hashes = append(hashes, storage.ExternalIDHash(id, key))
	}
	candidates, err := t.run.importer.store.RowsWithHashes(ctx, id, hashes)
	if err != nil {
		return err
	}
	for row, e := range t.edits {
		if t.emails[e.EmailKey] || t.ids[e.ExternalID] {
			candidates = append(candidates, row)
		}
	}
	slices.Sort(candidates)
	candidates = slices.DeleteFunc(slices.Compact(candidates), func(row int64) bool { return t.rows[row] != nil })
	if len(t.rows)+len(candidates) > maxTied+len(t.targets) {
		return ErrTooManyTied
	}
	if len(candidates) == 0 {
		return nil
	}
	verdicts, err := t.run.importer.store.RowVerdicts(ctx, id, candidates)
	if err != nil {
		return err
	}
	maps.Copy(t.verdicts, verdicts)
	rows, err := t.read(ctx, candidates, t.edits)
	maps.Copy(t.rows, rows)
	return err
}

// inOrder are the numbers of the tied rows.
func (t *editRun) inOrder() []int64 { return slices.Sorted(maps.Keys(t.tied)) }
