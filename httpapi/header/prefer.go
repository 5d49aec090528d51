// Package header parses the Prefer header and writes Preference-Applied, which
// net/http does not handle.
package header

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait bounds how long a response is held back. Clients may ask for up to a
// minute, but nginx, by default, gives up on a silent server after exactly
// that.
const MaxWait = 55 * time.Second

// maxAsked is the longest wait that Preference-Applied repeats.
const maxAsked = time.Minute

// Preference is a client's preference about waiting (RFC 7240, sections 4.1 and
// 4.3).
type Preference struct {
	async bool          // answer before the work is done
	wait  time.Duration // -1: no preference
}

// ParsePrefer parses the Prefer headers. Unknown preferences are ignored, as
// section 2 requires; if a preference is repeated, the first one counts; waits
// of more than a minute count as a minute.
func ParsePrefer(h http.Header) Preference {
	p := Preference{wait: -1}
	for _, line := range h.Values("Prefer") {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";") // its parameters
			name, value, _ := strings.Cut(item, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				p.async = true
			case "wait":
				seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
				if err == nil && p.wait < 0 {
					p.wait = min(time.Duration(seconds)*time.Second, maxAsked)
				}
			}
		}
	}
	return p
}

// OrElse returns how long to wait, at most [MaxWait]: d if the client has no
// preference.
func (p Preference) OrElse(d time.Duration) time.Duration {
	switch {
	case p.wait >= 0:
		return min(p.wait, MaxWait)
	case p.async:
		return 0
	}
	return min(d, MaxWait)
}

// Applied tells the client which preference was applied, in Preference-Applied.
func (p Preference) Applied(h http.Header) {
	var told []string
	if p.async {
		told = append(told, "respond-async")
	}
	if p.wait >= 0 {
		told = append(told, fmt.Sprintf("wait=%d", int(p.wait.Seconds())))
	}
	if told != nil {
		h.Set("Preference-Applied", strings.Join(told, ", "))
	}
}
