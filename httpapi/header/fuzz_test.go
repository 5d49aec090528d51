package header_test

import (
	"net/http"
	"testing"

	"rollcall/httpapi/header"
)

// FuzzPrefer: no preference waits longer than MaxWait, and Preference-Applied
// means the same when parsed again.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{"", "respond-async", "wait=5", `respond-async, wait="10"; x=y`, "WAIT=99999999999", "wait=-1", ",,=;", "wait=5,wait=6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		p := header.ParsePrefer(http.Header{"Prefer": {value}})
		if wait := p.OrElse(0); wait < 0 || wait > header.MaxWait {
			t.Errorf("%q waits %s", value, wait)
		}
		told := http.Header{}
		p.Applied(told)
		if again := header.ParsePrefer(http.Header{"Prefer": told["Preference-Applied"]}); again != p {
			t.Errorf("%q is told as %q", value, told)
		}
	})
}
