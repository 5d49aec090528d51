package web

import (
	"fmt"
	"strconv"
	"time"

	"rollcall/storage"
	"rollcall/web/login"
)

// Most columns that fit the chart, and its size in units of its own.
const (
	mostColumns = 60
	chartWidth  = 600.0
	chartHeight = 120.0
)

// acceptedChart shows how many accepted over time, in columns of a day, a week or
// four weeks. Times are UTC.
type acceptedChart struct {
	Columns []acceptedColumn // from the first day on which someone accepted to the last; empty columns included
	Each    string           // what a column is: "day", "week", "period of four weeks"
	Most    int64            // the highest column
	Earlier int64            // people who accepted before the first column
}

// acceptedColumn are those who accepted within a time.
type acceptedColumn struct {
	From, Before time.Time
	N            int64
	Sum          int64 // with all before
	People       string

	X, Y, Width, Height float64
}

// Label names the time of a column.
func (k acceptedColumn) Label() string {
	last := k.Before.AddDate(0, 0, -1)
	if last.Equal(k.From) {
		return k.From.Format("Jan 2, 2006")
	}
	return k.From.Format("Jan 2") + " – " + last.Format("Jan 2, 2006")
}

// Last labels the last column, "" if it is the only one.
func (chart acceptedChart) Last() string {
	if len(chart.Columns) < 2 {
		return ""
	}
	return chart.Columns[len(chart.Columns)-1].Label()
}

// columnDays are the choices for a column's length.
var columnDays = []struct {
	days int
	name string
}{{1, "day"}, {7, "week"}, {28, "period of four weeks"}}

// newAcceptedChart makes the columns of days, which are in order.
func newAcceptedChart(of userSearch, days []storage.AcceptedDay) (chart acceptedChart) {
	if len(days) == 0 {
		return chart
	}
	first, end := days[0].Day, days[len(days)-1].Day.AddDate(0, 0, 1)
	span := int(end.Sub(first).Hours() / 24)
	length := columnDays[len(columnDays)-1]
	for _, choice := range columnDays {
		if span <= mostColumns*choice.days {
			length = choice
			break
		}
	}
	n := min(mostColumns, (span+length.days-1)/length.days)
	chart = acceptedChart{Each: length.name, Columns: make([]acceptedColumn, n)}
	begin := end.AddDate(0, 0, -n*length.days) // at or before first, unless there are too many
	if n*length.days >= span {
		begin = first
	}
	for i := range chart.Columns {
		k := &chart.Columns[i]
		k.From, k.Before = begin.AddDate(0, 0, i*length.days), begin.AddDate(0, 0, (i+1)*length.days)
		within := of
		within.AcceptedFrom, within.AcceptedBefore = k.From.Format(time.DateOnly), k.Before.Format(time.DateOnly)
		k.People = within.path(login.HomePath)
	}
	for _, d := range days {
		i := int(d.Day.Sub(begin).Hours()/24) / length.days
		if d.Day.Before(begin) {
			chart.Earlier += d.N
			continue
		}
		chart.Columns[i].N += d.N
	}
	chart.draw()
	return chart
}

// draw places the columns.
func (chart *acceptedChart) draw() {
	sum, width := chart.Earlier, chartWidth/float64(max(len(chart.Columns), 12))
	for i := range chart.Columns {
		k := &chart.Columns[i]
		sum += k.N
		k.Sum = sum
		chart.Most = max(chart.Most, k.N)
		k.X, k.Width = float64(i)*width, width*0.8
	}
	for i := range chart.Columns {
		k := &chart.Columns[i]
		k.Height = chartHeight * float64(k.N) / float64(chart.Most)
		k.Y = chartHeight - k.Height
	}
}

// share is n in percent of all, 0 of none.
func share(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return 100 * float64(n) / float64(all)
}

// percent is a share for people. It is 0% or 100% only if none or all are meant.
func percent(n, all int64) string {
	switch p := share(n, all); {
	case all == 0:
		return "–"
	case n > 0 && p < 1:
		return "<1%"
	case n < all && p > 99:
		return ">99%"
	default:
		return strconv.Itoa(int(p+0.5)) + "%"
	}
}

// units is a length in a drawing.
func units(v float64) string { return fmt.Sprintf("%.2f", v) }
