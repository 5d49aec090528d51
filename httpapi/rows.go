package httpapi

import (
	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/report"
	"rollcall/roster"
)

// rowPage reads limit and after of a list of rows.
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

// rowView is a row of the file as it is sent.
type rowView struct {
	Row      int64                    `json:"row"`
	Line     int64                    `json:"line"`
	Values   map[roster.Column]string `json:"values"`
	Cells    []string                 `json:"cells"`
	Verdict  report.Verdict           `json:"verdict"`
	Problems []problemView            `json:"problems"`
}

// problemView is one thing wrong with a row.
type problemView struct {
	Field   *roster.Column `json:"field"`
	Reason  roster.Code    `json:"reason"`
	Value   string         `json:"value"`
	Message string         `json:"message"`
	Fix     string         `json:"fix"`
}

// listRows is GET …/imports/{id}/rows.
func (a *API) listRows(c *gin.Context, _ caller, i *roster.Import) error {
	limit, after, err := rowPage(c)
	if err != nil {
		return err
	}
	only := c.Query("only")
	if only != "" && only != "errors" {
		return problem.Parameter("only", "only must be errors, or be left out.")
	}
	rows, next, err := a.Reports.Rows(c.Request.Context(), i.ID, after, limit, only != "")
	if err != nil {
		return err
	}
	items := make([]rowView, len(rows))
	for k, r := range rows {
		items[k] = rowView{Row: r.Row, Line: r.Line, Values: r.Values, Cells: r.Cells, Verdict: r.Verdict, Problems: viewProblems(r.Problems)}
	}
	if next == 0 {
		return answerList(a, c, items, "")
	}
	return answerList(a, c, items, query.RowCursor(next))
}

func viewProblems(problems []roster.Problem) []problemView {
	views := make([]problemView, len(problems))
	for k, p := range problems {
		views[k] = problemView{fieldOf(p), p.Code, p.Value, p.Message, p.Code.RowFix()}
	}
	return views
}
