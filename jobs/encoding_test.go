package jobs_test

import (
	"os"
	"rollcall/jobs/importer"
	"strings"
	"testing"
	"time"

	"rollcall/roster"
)

// TestEncodingWarnings: an encoding is suggested only if it would read the
// whole file, and no longer once there are rows in UTF-8, even in a later batch
// of another claim.
func TestEncodingWarnings(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	messy, err := os.ReadFile("../examples/messy.csv")
	if err != nil {
		t.Fatal(err)
	}
	const header, broken = "email,name\n", "zoe@example.com,Zo\xeb\n"
	plain := strings.Repeat("a@example.com,A\n", 10)
	for name, c := range map[string]struct{ file, code, encoding string }{
		"another encoding":  {header + plain + broken + plain, roster.WarnLikelyEncoding, "windows-1252"},
		"a mark":            {"\ufeff" + header + plain + broken, roster.WarnMixedEncodings, ""},
		"UTF-8 before":      {header + "b@example.com,Bär\n" + plain + broken, roster.WarnMixedEncodings, ""},
		"UTF-8 behind":      {header + broken + plain + "b@example.com,Bär\n", roster.WarnMixedEncodings, ""},
		"the messy example": {string(messy), roster.WarnMixedEncodings, ""},
	} {
		i := h.run(h.importer(importer.Config{BatchRows: 2, Slice: time.Nanosecond}), h.upload(c.file, roster.Options{DryRun: true}).ID)
		var met []roster.Warning
		for _, w := range i.Warnings {
			if w.Code != roster.WarnUnknownColumns {
				met = append(met, w)
			}
		}
		if len(met) != 1 || met[0].Code != c.code || met[0].Encoding != c.encoding {
			t.Errorf("%s: %+v", name, i.Warnings)
		}
		if len(met) > 0 && strings.Contains(met[0].Message, "encoding=") != (c.encoding != "") {
			t.Errorf("%s: advises an encoding, or none: %s", name, met[0].Message)
		}
	}
}
