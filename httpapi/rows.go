package httpapi

import (
	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/report"
	"rollcall/roster"
)

// rowPage reads the parameters limit and after of a list of rows.
func rowPage(c *gin.Context) (limit int, after int64, err error) {
	q, err := query.Read(c.Request.URL.RawQuery)
	if err != nil {
		return 0, 0, err
	}
	if limit, err = q.Limit(100, 1000); err != nil {
		return 0, 0, err
	}
	after, err = q.AfterRow()
	return limit, after, err
}

// rowView is the JSON form of a row of the file.
type rowView struct {
	Row      int64                    `json:"row"`
	Line     int64                    `json:"line"`
	Values   map[roster.Column]string `json:"values"`
	Cells    []string                 `json:"cells"`
	Verdict  report.Verdict           `json:"verdict"`
	Action   roster.Action            `json:"action"`
	Changes  fieldChanges             `json:"changes"`
	Edits    fieldChanges             `json:"edits"`
	Problems []problemView            `json:"problems"`
}

// fieldChanges are the values that a row changes, {} for none.
type fieldChanges map[roster.Column]roster.FieldChange

// problemView is one thing wrong with a row.
type problemView struct {
	Field   *roster.Column `json:"field"`
	Reason  roster.Code    `json:"reason"`
	Value   string         `json:"value"`
	Message string         `json:"message"`
	Fix     string         `json:"fix"`

	Suggestion *string `json:"suggestion"`
}

// listRows is GET …/imports/{id}/rows.
func (a *API) listRows(c *gin.Context, _ caller, i *roster.Import) error {
	limit, after, err := rowPage(c)
	if err != nil {
		return err
	}
	only := c.Query("only")
	if only != "" && only != "errors" {
		return problem.Parameter("only", "only must be errors, if set.")
	}
	rows, next, err := a.Reports.Rows(c.Request.Context(), i.ID, after, limit, only != "")
	if err != nil {
		return err
	}
	items := make([]rowView, len(rows))
	for k, r := range rows {
		items[k] = viewRow(r)
	}
	return answerPage(a, c, items, next != 0, func(v rowView) string { return query.RowCursor(v.Row) })
}

func viewRow(r report.Row) rowView {
	v := rowView{Row: r.Row, Line: r.Line, Values: r.Values, Cells: r.Cells, Verdict: r.Verdict, Action: r.Action,
		Changes: fieldChanges{}, Edits: fieldChanges{}, Problems: viewProblems(r.Problems)}
	if r.Changes != nil {
		v.Changes = r.Changes
	}
	if r.Edits != nil {
		v.Edits = r.Edits
	}
	return v
}

func viewProblems(problems []roster.Problem) []problemView {
	views := make([]problemView, len(problems))
	for k, p := range problems {
		views[k] = problemView{apitypes.FieldOf(p), p.Code, p.Value, p.Message, p.Advice(), apitypes.Optional(p.Suggestion)}
	}
	return views
}
