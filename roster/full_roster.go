package roster

import (
	"strconv"
	"strings"
)

// Missing says what becomes of the source's users who are not in the file.
type Missing string

// The two answers.
const (
	MissingKeep    Missing = "keep"    // nothing
	MissingDisable Missing = "disable" // they are disabled: the file is a full roster
)

// ParseMissing reads the request's word; blank means keep.
func ParseMissing(s string) (Missing, bool) {
	switch Missing(s) {
	case "", MissingKeep:
		return MissingKeep, true
	case MissingDisable:
		return MissingDisable, true
	}
	return "", false
}

// DefaultMaxDisable is the safety limit of full rosters.
const DefaultMaxDisable = "20%"

// ValidMaxDisable reports whether s is a safety limit: a whole number of users, or
// a percentage from 0% to 100%, such as 2.5%.
func ValidMaxDisable(s string) bool {
	_, ok := maxDisable(s, 0)
	return ok
}

// MaxDisable is a safety limit in users, for a source with so many users who are
// not disabled. It is 0 for a limit that is not valid.
func MaxDisable(limit string, users int64) int64 {
	n, _ := maxDisable(limit, users)
	return n
}

func maxDisable(limit string, users int64) (int64, bool) {
	if percent, ok := strings.CutSuffix(limit, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return 0, false
		}
		return int64(float64(users) * p / 100), true
	}
	n, err := strconv.ParseInt(limit, 10, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}
