package httpapi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"rollcall/httpapi"
	"rollcall/roster"
)

// TestPageAtRestIsReadOnce: those who have polled come for the last page one after
// the other. Each is answered by the row as it is now, and the errors are read
// when it has changed, or some time has passed.
func TestPageAtRestIsReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now, rows, wholes := roster.Import{ID: uuid.New(), Status: roster.Completed, Revision: 7}, 0, 0
		pages := httpapi.NewPages(func(context.Context, uuid.UUID) (*roster.Import, error) {
			rows++
			i := now
			return &i, nil
		}, func() { wholes++ })
		ask := func(when string, revision int64, read int) {
			t.Helper()
			before := rows
			i, err := pages.Body(t.Context(), now.ID)
			if err != nil || i.Revision != revision {
				t.Errorf("%s: %+v, %v", when, i, err)
			}
			if rows == before {
				t.Errorf("%s: nobody looked", when)
			}
			if wholes != read {
				t.Errorf("%s: the errors were read %d times, want %d", when, wholes, read)
			}
		}
		ask("first", 7, 1)
		for range 10 {
			ask("again", 7, 1)
		}
		now.Revision++
		ask("when it has changed", 8, 2)
		ask("and again", 8, 2)
		time.Sleep(time.Minute)
		ask("a minute later", 8, 3)
		time.Sleep(time.Second) // until nobody is about to read
	})
}
