// Package humanize formats numbers, sizes and times for people, in English.
package humanize

import (
	"fmt"
	"strconv"
	"time"
)

// Number formats n with its digits grouped by thousands: 1,234,567.
func Number(n int64) string {
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

// Count formats a number with its noun: "1 row", "2 rows".
func Count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Size formats a number of bytes in the largest unit that gives at least 1.
func Size(bytes int64) string {
	const step = 1024
	if bytes < step {
		return Count(bytes, "byte", "bytes")
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

// Time formats a time to the minute, in UTC and labeled so, because the server
// does not know the reader's zone.
func Time(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// Duration formats a length of time in the unit people would use for it.
func Duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return Count(int64(d/(24*time.Hour)), "day", "days")
	case d >= time.Hour:
		return Count(int64(d.Round(time.Hour)/time.Hour), "hour", "hours")
	case d >= time.Minute:
		return Count(int64(d.Round(time.Minute)/time.Minute), "minute", "minutes")
	}
	return fmt.Sprintf("%d seconds", int64(d/time.Second))
}

// Ago says how long before now a time was; after a month, the date.
func Ago(t, now time.Time) string {
	const day = 24 * time.Hour
	switch d := now.Sub(t); {
	case d < time.Minute: // or a clock a little ahead of ours
		return "just now"
	case d < time.Hour:
		return Count(int64(d/time.Minute), "minute", "minutes") + " ago"
	case d < day:
		return Count(int64(d/time.Hour), "hour", "hours") + " ago"
	case d < 31*day:
		return Count(int64(d/day), "day", "days") + " ago"
	}
	return t.UTC().Format("2 Jan 2006")
}
