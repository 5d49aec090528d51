package web

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// shownRefusals is how many refused rows a page shows at a time.
const shownRefusals = 25

// refusalsView is a page of the rows that an import has left out.
type refusalsView struct {
	Rows    []roster.Refusal // in row order
	Filters []refusalFilter  // one a reason, and the first for all
	First   string           // path of the first page, "" if this is it
	Next    string           // path of the next page, "" on the last
}

// refusalFilter narrows the rows to one reason.
type refusalFilter struct {
	Label   string
	Rows    int64
	Path    string
	Current bool
}

// readRefusals reads a page of refused rows. Parameters: reason, a code; after,
// the last row of the page before. A value that makes no sense is ignored.
func (s *Site) readRefusals(c *gin.Context, i *roster.Import) (v refusalsView, err error) {
	if i.Failed == 0 {
		return v, nil
	}
	ctx := c.Request.Context()
	var reason roster.Code
	if i.Status.Ended() {
		counts, err := s.Store.RefusalReasons(ctx, i.ID)
		if err != nil {
			return v, err
		}
		v.Filters, reason = filters(i, counts, roster.Code(c.Query("reason")))
	}
	after, _ := strconv.ParseInt(c.Query("after"), 10, 64)
	if reason == "" {
		v.Rows, err = s.Store.Refusals(ctx, i.ID, after, shownRefusals+1)
	} else {
		v.Rows, err = s.Store.RefusalsFor(ctx, i.ID, reason, after, shownRefusals+1)
	}
	if err != nil {
		return v, err
	}
	page := func(after string) string {
		return pathWith(importPath(i.ID), "reason", string(reason), "after", after) + "#refused"
	}
	if after > 0 {
		v.First = page("")
	}
	if len(v.Rows) > shownRefusals {
		v.Rows = v.Rows[:shownRefusals]
		v.Next = page(strconv.FormatInt(v.Rows[shownRefusals-1].Row, 10))
	}
	return v, nil
}

// filters makes a filter of each reason that there is, and tells which of them
// is asked for, "" for none. One reason alone needs no filter.
func filters(i *roster.Import, counts []storage.ReasonCount, asked roster.Code) (list []refusalFilter, reason roster.Code) {
	if len(counts) < 2 {
		return nil, ""
	}
	list = []refusalFilter{{Label: "All", Path: importPath(i.ID) + "#refused"}}
	for _, n := range counts {
		list[0].Rows += n.Rows
		list = append(list, refusalFilter{
			Label: reasonTitle(n.Reason), Rows: n.Rows, Current: n.Reason == asked,
			Path: pathWith(importPath(i.ID), "reason", string(n.Reason)) + "#refused",
		})
		if n.Reason == asked {
			reason = asked
		}
	}
	list[0].Current = reason == ""
	return list, reason
}

// reasonTitle names a reason in two or three words.
func reasonTitle(code roster.Code) string {
	switch code {
	case roster.MissingRequiredField:
		return "Value missing"
	case roster.InvalidEmail:
		return "Not an e-mail address"
	case roster.InvalidRole:
		return "Unknown role"
	case roster.DuplicateEmail:
		return "Address taken"
	case roster.EncodingError:
		return "Unreadable characters"
	case roster.MalformedRow:
		return "Broken row"
	case roster.ValueTooLong:
		return "Too long"
	case roster.InternalError:
		return "Our fault"
	}
	return string(code)
}
