package userfile_test

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/htmlindex"

	"rollcall/roster"
)

// TestReadAs: a guessed encoding is told with a decoded value, and with what a
// second one that is near would make of it.
func TestReadAs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		encode, row, encoding, sample string
		near                          bool
	}{
		"one is likely":       {"windows-1252", "jose@x.example,José Núñez Gonçalves", "windows-1252", "José Núñez Gonçalves", false},
		"Lithuanian":          {"windows-1257", "a@x.example,Jonas Žemaitis\nb@x.example,Rūta Šimkutė\nc@x.example,Kęstutis Čepėnas", "windows-1257", "Jonas Žemaitis", false},
		"only one letter":     {"windows-1250", "a@x.example,Ewa Kryńska", "windows-1252", "windows-1252: Ewa Kryñska · windows-1250: Ewa Kryńska", true},
		"in a domain":         {"windows-1252", "ann@müller.example,Ann", "windows-1252", "@müller.example", false},
		"before the at":       {"windows-1252", "jürgen@x.example,Ann", "windows-1252", "jürgen@x.example", false},
		"in the header alone": {"windows-1252", "a@x.example,Ann", "windows-1252", "Größe", false},
	} {
		e, err := htmlindex.Get(c.encode)
		if err != nil {
			t.Fatal(err)
		}
		header := "email,name\n"
		if strings.Contains(name, "header") {
			header = "email,name,Größe\n"
		}
		file, err := e.NewEncoder().String(header + c.row + "\n")
		if err != nil {
			t.Fatal(err)
		}
		sheet := open(t, file, roster.Options{Encoding: "auto"})
		var w roster.Warning
		for _, each := range sheet.Warnings() {
			if each.Code == roster.WarnReadAs {
				w = each
			}
		}
		if c.encoding != "" && w.Encoding != c.encoding || !strings.Contains(w.Sample, c.sample) || strings.Contains(w.Sample, " · ") != c.near {
			t.Errorf("%s: read as %s, sample %q, want %s, %q", name, w.Encoding, w.Sample, c.encoding, c.sample)
		}
		if strings.Contains(w.Message, "nearly as likely") != c.near {
			t.Errorf("%s: %s", name, w.Message)
		}
		for _, value := range strings.Split(c.row, ",") {
			if strings.Contains(w.Message, value) {
				t.Errorf("%s: the message repeats %q", name, value)
			}
		}
	}
}
