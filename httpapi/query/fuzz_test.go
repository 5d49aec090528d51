package query_test

import (
	"testing"

	"rollcall/httpapi/query"
)

// FuzzPage: only cursors that a list returns are accepted.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{"", "limit=200&after=", "after=AAAAAAAAAAE", "after=AZohsQAAcACAAAAAAAAAAA", "limit=0", "limit=%00", "after=____", "a=b;c=d", "limit=1&limit=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, limit, id, err := query.Page(raw)
		if q.Get("after") != "" && err == nil {
			if _, _, again, err := query.Page("after=" + query.IDCursor(id)); err != nil || again != id {
				t.Errorf("%q is read as %s, then as %s: %v", raw, id, again, err)
			}
		}
		if err == nil && (limit < 1 || limit > 200) {
			t.Errorf("%q: a page of %d", raw, limit)
		}
		row, err := q.AfterRow()
		if err != nil {
			return
		}
		q, err = query.Read("after=" + query.RowCursor(row))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := q.AfterRow(); err != nil || again != row || row < 0 {
			t.Errorf("%q is read as row %d, then as %d: %v", raw, row, again, err)
		}
	})
}
