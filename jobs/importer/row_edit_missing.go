package importer

import (
	"context"
	"fmt"
	"slices"

	"rollcall/roster"
	"rollcall/storage"
)

// findMissing works out how edits of a full roster change who is missing from it: the
// users with an address or key that an edited row has or had.
func (t *editRun) findMissing(ctx context.Context) error {
	if !t.isRoster() {
		return nil
	}
	m := &storage.MissingChange{Present: t.present}
	change := int64(0) // of rows that may be about anyone
	for _, row := range t.targets {
		was, is := t.before[row].person, t.rows[row].person
		for _, p := range []roster.UserFields{was, is} {
			if email := storage.ReadableEmail(p); email != "" {
				m.Emails = append(m.Emails, email)
			}
			if p.ExternalID != "" {
				m.IDs = append(m.IDs, p.ExternalID)
			}
		}
		if aboutAnyone(was) {
			change--
		}
		if aboutAnyone(is) {
			change++
		}
	}
	t.saved.Missing = m
	warnings := t.of.Import.Warnings
	if t.saved.Warnings != nil {
		warnings = t.saved.Warnings
	}
	k := slices.IndexFunc(warnings, func(w roster.Warning) bool { return w.Code == roster.WarnMissingKept })
	var n int64
	if k >= 0 {
		n = warnings[k].Rows
	}
	if n+change <= 0 && k < 0 {
		return nil
	}
	t.saved.Warnings = slices.DeleteFunc(slices.Clone(warnings), func(w roster.Warning) bool { return w.Code == roster.WarnMissingKept })
	if n += change; n > 0 {
		m.None = true
		t.saved.Warnings = append(t.saved.Warnings, missingKeptFor(n))
		return nil
	}
	m.All = true
	return t.knowAll(ctx, m)
}

func aboutAnyone(p roster.UserFields) bool {
	return storage.ReadableEmail(p) == "" && p.ExternalID == ""
}

// present reports whether a user is in the file. The rows with the address or key of a
// user whom an edit concerns are among those read.
func (t *editRun) present(email, key string) bool {
	for _, r := range t.rows {
		if storage.ReadableEmail(r.person) == email || key != "" && r.person.ExternalID == key {
			return true
		}
	}
	return false
}

// knowAll makes Present answer for any user.
func (t *editRun) knowAll(ctx context.Context, m *storage.MissingChange) error {
	id := t.of.Import.ID
	keys, err := t.run.importer.store.RowHashes(ctx, id)
	if err != nil {
		return err
	}
	there := make(map[uint64]bool, len(keys))
	for _, k := range keys {
		if _, edited := t.edits[k.Row]; !edited {
			there[k.Hash] = true
		}
	}
	for _, e := range t.edits {
		if e.EmailKey != "" {
			there[storage.EmailHash(id, e.EmailKey)] = true
		}
		if e.ExternalID != "" {
			there[storage.ExternalIDHash(id, e.ExternalID)] = true
		}
	}
	m.Present = func(email, key string) bool {
		return there[storage.EmailHash(id, email)] || key != "" && there[storage.ExternalIDHash(id, key)]
	}
	return nil
}

// missingKeptFor is missingKept where the first of the rows is not known any more.
func missingKeptFor(n int64) roster.Warning {
	which := "whom a row is about, because neither its address nor its external_id can be read. Fix the row."
	if n > 1 {
		which = fmt.Sprintf("whom %d rows are about, because neither their addresses nor their external_ids can be read. Fix the rows.", n)
	}
	return roster.Warning{Code: roster.WarnMissingKept, Rows: n, Message: "No one was disabled: it is not clear " + which}
}
