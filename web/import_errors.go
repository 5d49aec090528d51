package web

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// maxShownRowErrors is how many failed rows a page shows at a time.
const maxShownRowErrors = 25

// rowErrorsView is a page of the failed rows of an import.
type rowErrorsView struct {
	Rows    []roster.RowError // in row order
	Filters []rowErrorFilter  // one per reason, after the one for all
	First   string            // path of the first page, "" if this is it
	Next    string            // path of the next page, "" on the last
}

// rowErrorFilter narrows the rows to one reason.
type rowErrorFilter struct {
	Label   string
	Rows    int64
	Path    string
	Current bool
}

// readRowErrors reads a page of failed rows. Parameters: reason, a code; after,
// the last row of the previous page. Invalid values are ignored.
func (s *Site) readRowErrors(c *gin.Context, i *roster.Import) (v rowErrorsView, err error) {
	if i.Failed == 0 {
		return v, nil
	}
	ctx := c.Request.Context()
	var reason roster.Code
	if i.Status.Ended() {
		counts, err := s.deps.Store.CountRowErrors(ctx, i.ID)
		if err != nil {
			return v, err
		}
		v.Filters, reason = filters(i, counts, roster.Code(c.Query("reason")))
	}
	after, _ := strconv.ParseInt(c.Query("after"), 10, 64)
	if reason == "" {
		v.Rows, err = s.deps.Store.RowErrors(ctx, i.ID, after, maxShownRowErrors+1)
	} else {
		v.Rows, err = s.deps.Store.RowErrorsByCode(ctx, i.ID, reason, after, maxShownRowErrors+1)
	}
	if err != nil {
		return v, err
	}
	page := func(after string) string {
		return pathWith(importPath(i.ID), "reason", string(reason), "after", after) + "#failed-rows"
	}
	if after > 0 {
		v.First = page("")
	}
	if len(v.Rows) > maxShownRowErrors {
		v.Rows = v.Rows[:maxShownRowErrors]
		v.Next = page(strconv.FormatInt(v.Rows[maxShownRowErrors-1].Row, 10))
	}
	return v, nil
}

// filters returns a filter for each reason that occurs, and the selected one,
// "" for none. A single reason needs no filter.
func filters(i *roster.Import, counts []storage.RowErrorCount, asked roster.Code) (list []rowErrorFilter, reason roster.Code) {
	if len(counts) < 2 {
		return nil, ""
	}
	list = []rowErrorFilter{{Label: "All", Path: importPath(i.ID) + "#failed-rows"}}
	for _, n := range counts {
		list[0].Rows += n.Rows
		list = append(list, rowErrorFilter{
			Label: reasonTitle(n.Reason), Rows: n.Rows, Current: n.Reason == asked,
			Path: pathWith(importPath(i.ID), "reason", string(n.Reason)) + "#failed-rows",
		})
		if n.Reason == asked {
			reason = asked
		}
	}
	list[0].Current = reason == ""
	return list, reason
}

// reasonTitle is a short title for a reason, two or three words long.
func reasonTitle(code roster.Code) string {
	switch code {
	case roster.MissingRequiredField:
		return "Missing value"
	case roster.InvalidEmail:
		return "Invalid email"
	case roster.InvalidRole:
		return "Invalid role"
	case roster.DuplicateEmail:
		return "Duplicate email"
	case roster.EncodingError:
		return "Encoding error"
	case roster.MalformedRow:
		return "Malformed row"
	case roster.ValueTooLong:
		return "Value too long"
	case roster.InternalError:
		return "Internal error"
	}
	return string(code)
}
