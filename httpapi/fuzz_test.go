package httpapi_test

import (
	"mime"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/httpapi"
)

// FuzzPrefer: whatever a client prefers, it waits for a minute at most, and is
// told what was obeyed in words that mean the same when read again.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{"", "respond-async", "wait=5", `respond-async, wait="10"; x=y`, "WAIT=99999999999", "wait=-1", ",,=;", "wait=5,wait=6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		async, wait, applied := httpapi.ReadPrefer(value)
		if wait != -1 && (wait < 0 || wait > time.Minute) {
			t.Errorf("%q waits %s", value, wait)
		}
		async2, wait2, _ := httpapi.ReadPrefer(applied)
		if async2 != async || wait2 != wait {
			t.Errorf("%q is told as %q", value, applied)
		}
	})
}

// FuzzPage: a cursor is one that a list gives, or none.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{"", "limit=200&after=", "after=AAAAAAAAAAE", "after=AZohsQAAcACAAAAAAAAAAA", "limit=0", "limit=%00", "after=____", "a=b;c=d", "limit=1&limit=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		limit, id, row, err := httpapi.ReadPage(raw)
		if err != nil {
			return
		}
		if limit < 1 || limit > 200 {
			t.Errorf("%q: a page of %d", raw, limit)
		}
		values, _ := url.ParseQuery(raw)
		after := values.Get("after")
		for kind, cursor := range map[string]string{"id": id, "row": row} {
			if cursor == "" || after == "" {
				continue
			}
			_, again, againRow, err := httpapi.ReadPage("after=" + cursor)
			if err != nil || kind == "id" && again != cursor || kind == "row" && againRow != cursor {
				t.Errorf("%q is read as the %s %q, which is not read again: %v", after, kind, cursor, err)
			}
		}
	})
}

// FuzzDisposition: a file's name stays a name. It ends no header, and programs
// read it as it was.
func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{"people.csv", "Über \"uns\".csv", "a\r\nSet-Cookie: x=y", `\";filename=evil.exe`, "../../x", "%41;a=b", "\u202egpj.csv"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		header := httpapi.Disposition(name)
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q becomes %q", name, header)
		}
		kind, params, err := mime.ParseMediaType(header)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q becomes %q: %v, %v", name, header, params, err)
		}
		if utf8.ValidString(name) && name != "" && params["filename"] != name {
			t.Errorf("%q becomes %q, read as %q", name, header, params["filename"])
		}
	})
}
