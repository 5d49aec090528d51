package importer

import (
	"context"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// Suggestion is a value that the check suggests for a cell.
type Suggestion struct {
	Row      int64
	Column   roster.Column
	From, To string
}

// suggestionsPage is how many failed rows are looked through at a time.
const suggestionsPage = 2000

// Suggestions lists what the check suggests for failed rows, in row order: at most one
// value a cell, and only for this reason if it is not "". Those for more rows than may
// still be edited are left out; left is how many rows that are.
func (e *RowEditor) Suggestions(ctx context.Context, id uuid.UUID, reason roster.Code) (all []Suggestion, left int, err error) {
	edits, err := e.importer.store.RowEdits(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	for after, free := int64(0), storage.MaxRowEdits-len(edits); ; {
		page, err := e.importer.store.RowErrors(ctx, id, after, suggestionsPage)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range page {
			after = r.Row
			found := suggestionsOf(r, reason)
			_, edited := edits[r.Row]
			switch {
			case len(found) == 0:
			case !edited && free == 0:
				left++
			default:
				if all = append(all, found...); !edited {
					free--
				}
			}
		}
		if len(page) < suggestionsPage {
			return all, left, nil
		}
	}
}

func suggestionsOf(r roster.RowError, reason roster.Code) (found []Suggestion) {
	seen := map[roster.Column]bool{}
	for _, p := range r.Problems {
		if p.Suggestion == "" || seen[p.Field] || reason != "" && p.Code != reason {
			continue
		}
		seen[p.Field] = true
		found = append(found, Suggestion{r.Row, p.Field, p.Value, p.Suggestion})
	}
	return found
}

// ApplySuggestions makes every suggestion, or every one for a reason, the value of its
// cell, up to the limit of edited rows: applied is how many rows that were, and left in
// how many it is still to do. The error is storage.ErrTooManyEdits if the limit leaves
// room for none, or one of Edit.
func (e *RowEditor) ApplySuggestions(ctx context.Context, id uuid.UUID, reason roster.Code, by storage.AuditEntry) (applied, left int, err error) {
	all, left, err := e.Suggestions(ctx, id, reason)
	if err != nil {
		return 0, 0, err
	}
	if len(all) == 0 && left > 0 {
		return 0, 0, storage.ErrTooManyEdits
	}
	rows := map[int64]CellChanges{}
	for _, s := range all {
		if rows[s.Row] == nil {
			rows[s.Row] = CellChanges{}
		}
		rows[s.Row][s.Column] = &s.To
	}
	_, err = e.Edit(ctx, id, rows, by)
	return len(rows), left, err
}
