// Package header reads and writes header fields that net/http leaves to us:
// what clients prefer, whom proxies were talking to, what a file is called.
package header

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait bounds how long a client may ask to wait.
const MaxWait = time.Minute

// Preference is what a client says about waiting (RFC 7240, sections 4.1 and
// 4.3).
type Preference struct {
	async bool          // answer before the work is done
	wait  time.Duration // -1: the client does not say
}

// ParsePrefer reads the Prefer headers. What is not understood is passed over,
// as section 2 has it; of a preference given twice the first counts; more than
// [MaxWait] is [MaxWait].
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
					p.wait = min(time.Duration(seconds)*time.Second, MaxWait)
				}
			}
		}
	}
	return p
}

// OrElse is how long to wait, with what the server does of itself.
func (p Preference) OrElse(d time.Duration) time.Duration {
	switch {
	case p.wait >= 0:
		return p.wait
	case p.async:
		return 0
	}
	return d
}

// Applied tells the client what was obeyed, in Preference-Applied.
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
