package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"rollcall/roster"
)

// TestImportSuggestsFlags: for a file that cannot be used, the output suggests
// flags, and with these it can be used.
func TestImportSuggestsFlags(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, tt := range []struct {
		name, content, tries string
		args                 []string
	}{
		{"headers for a shell", "E-Mail Address,Full $Name\na@example.com,Ann\n",
			`Try again with: --mapping email="E-Mail Address" --mapping name='Full $Name'`,
			[]string{"--mapping", "email=E-Mail Address", "--mapping", "name=Full $Name"}},
		{"two columns", "E-Mail Address,First Name,Last Name\nb@example.com,Bea,Lee\n",
			`Try again with: --mapping email="E-Mail Address" --mapping name="First Name" --mapping name="Last Name"`,
			[]string{"--mapping", "email=E-Mail Address", "--mapping", "name=First Name", "--mapping", "name=Last Name"}},
		{"delimiter", "sep=,\nemail\tname\nc@example.com\tCy\n", "Try again with: --delimiter tab", []string{"--delimiter", "tab"}},
		{"encoding", string([]byte{0xff, 0xfe}) + utf16("email,name\nd@example.com,Zoë\n"), "Try again with: --encoding utf-16le", []string{"--encoding", "utf-16le"}},
		{"title", "Staff 2026\n\nemail,name\ne@example.com,Eve\n", "Try again with: --header-row 3", []string{"--header-row", "3"}},
		{"title in a workbook", book(t), "Try again with: --header-row 3", []string{"--header-row", "3", "--sheet", "staff"}},
	} {
		r := h.run("import", h.file(tt.content))
		if r.code != 1 {
			t.Errorf("%s: exit code %d\n%s%s", tt.name, r.code, r.stdout, r.stderr)
		}
		contains(t, r.stdout, "failed; nothing was imported: ", tt.tries)
		contains(t, h.mustRun(append([]string{"import", h.file(tt.content)}, tt.args...)...).stdout, "Imported 1 of 1 row")
	}
}

// book is a workbook with a title above the header.
func book(t *testing.T) string {
	t.Helper()
	f := excelize.NewFile()
	var b bytes.Buffer
	if err := errors.Join(f.SetSheetName("Sheet1", "Staff"), f.SetCellValue("Staff", "A1", "Staff 2026"), f.SetSheetRow("Staff", "A3", &[]any{"email", "name"}),
		f.SetSheetRow("Staff", "A4", &[]any{"f@example.com", "Flo"}), f.Write(&b)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func utf16(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}

// TestImportShowsWarnings: with their examples and what to try.
func TestImportShowsWarnings(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	twice := h.file("email,name,User Type\na@example.com,RenÃ©e MÃ¼ller,x\n")
	contains(t, h.mustRun("import", twice, "--dry-run").stdout,
		"Warning: ", "User Type", "    Try: --mapping role=\"User Type\"\n",
		"Warning: 1 row has text that was turned into UTF-8 twice", "    Example: “RenÃ©e MÃ¼ller → Renée Müller”\n    Try: --encoding utf-8-twice\n")
	guessed := h.mustRun("import", h.file("email,name\nb@example.com,Zo\xeb\n"), "--encoding", "auto").stdout
	contains(t, guessed, "Warning: The file was read as windows-1252", "    Example: “windows-1252: Zoë · windows-1257: Zoė”\n")
	if strings.Contains(guessed, "Try:") {
		t.Errorf("an encoding is proposed that was used:\n%s", guessed)
	}
	repaired := imported(t, h.mustRun("import", twice, "--encoding", "utf-8-twice", "--json"))
	for _, w := range repaired.Warnings {
		if w.Code == roster.WarnDoubleEncoded {
			t.Errorf("warned of what was repaired: %+v", w)
		}
	}
}
