package web

import (
	"fmt"
	"html/template"
	"strconv"
	"time"

	"rollcall/report"
	"rollcall/roster"
)

// wording is how values read on a page.
var wording = template.FuncMap{
	"number":   number,
	"size":     size,
	"moment":   moment,
	"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"duration": duration,
	"rows":     func(n int64) string { return counted(n, "row", "rows") },

	"ago":     ago,
	"counted": counted,
	"wide":    func(n int) int64 { return int64(n) },

	"userStatus":   userStatus,
	"importStatus": importStatus,
	"invitation":   invitationWords,
	"verdict":      verdict,
	"role":         roleWords,
	"actorKind":    actorKind,

	"invitationStatus": invitationStatus,
	"reason":           reasonTitle,
}

func userStatus(s roster.UserStatus) string {
	switch s {
	case roster.Invited:
		return "Invited"
	case roster.Active:
		return "Active"
	case roster.Disabled:
		return "Disabled"
	}
	return string(s)
}

func importStatus(s roster.Status) string {
	switch s {
	case roster.Queued:
		return "Queued"
	case roster.Checking:
		return "Checking"
	case roster.Ready:
		return "Waits for you"
	case roster.Importing:
		return "Importing"
	case roster.Completed:
		return "Completed"
	case roster.Canceled:
		return "Canceled"
	case roster.Failed:
		return "Failed"
	}
	return string(s)
}

// invitationWords says how far an invitation has come.
func invitationWords(i roster.Invitation) string {
	switch i.Status {
	case roster.InvitationHeld:
		return "invitation held back"
	case roster.InvitationPending:
		return "mail on its way"
	case roster.InvitationSent:
		return "mail sent"
	case roster.InvitationFailed:
		return "mail failed"
	case roster.InvitationExpired:
		return "link expired"
	case roster.InvitationRevoked:
		return "link withdrawn"
	case roster.InvitationAccepted:
		return "accepted"
	}
	return string(i.Status)
}

func verdict(v report.Verdict) string {
	switch v {
	case report.Import:
		return "New user"
	case report.Update:
		return "Updated"
	case report.Fail:
		return "Left out"
	}
	return string(v)
}

// number groups the digits of n by thousands: 1,234,567.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is a number with its noun: "1 row", "2 rows".
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// size is a number of bytes in the largest unit that gives at least 1.
func size(bytes int64) string {
	const step = 1024
	if bytes < step {
		return counted(bytes, "byte", "bytes")
	}
	value, unit := float64(bytes)/step, 0
	for value >= step && unit < 3 {
		value, unit = value/step, unit+1
	}
	text := strconv.FormatFloat(value, 'f', 1, 64)
	if whole := strconv.FormatFloat(value, 'f', 0, 64); text == whole+".0" {
		text = whole
	}
	return text + " " + [...]string{"KiB", "MiB", "GiB", "TiB"}[unit]
}

// moment is a time to the minute. The server does not know the reader's zone,
// so it says which one it shows.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// duration is a length of time in the unit people would use for it.
func duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return counted(int64(d/(24*time.Hour)), "day", "days")
	case d >= time.Hour:
		return counted(int64(d.Round(time.Hour)/time.Hour), "hour", "hours")
	case d >= time.Minute:
		return counted(int64(d.Round(time.Minute)/time.Minute), "minute", "minutes")
	}
	return fmt.Sprintf("%d seconds", int64(d/time.Second))
}
