package httpapi_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall/roster"
)

// uploadBody posts body unchanged.
func (h *testEnv) uploadBody(mediaType, body string) answer {
	h.Helper()
	return h.do(call{method: "POST", path: importPath, header: http.Header{"Content-Type": {mediaType}}, body: strings.NewReader(body)})
}

// formOf makes a form of parts, each a head without Content-Disposition and a body.
func formOf(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("--b\r\nContent-Disposition: form-data; " + part + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

const formType = "multipart/form-data; boundary=b"

// TestEncodedParts: a file is the same whatever the transfer encoding of its
// part.
func TestEncodedParts(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	encoded := func(content string) string { // in lines of 76 characters, as mail programs and curl do
		text := base64.StdEncoding.EncodeToString([]byte(content))
		var lines []string
		for part := range slices.Chunk([]byte(text), 76) {
			lines = append(lines, string(part))
		}
		return strings.Join(lines, "\r\n")
	}
	for name, part := range map[string]string{
		"base64":           "Content-Transfer-Encoding: base64\r\n\r\n" + encoded("email,name\nmuller-base64@example.com,Renée Müller\n"+strings.Repeat("\n", 200)),
		"base64-caps":      "content-transfer-encoding: BASE64\r\n\r\n" + encoded("email,name\nmuller-base64-caps@example.com,Renée Müller\n"),
		"quoted-printable": "Content-Transfer-Encoding: quoted-printable\r\n\r\nemail,name=0Amuller-quoted-printable@example.com,Ren=C3=A9e=\r\n M=C3=BCller",
		"8bit":             "Content-Transfer-Encoding: 8bit\r\n\r\nemail,name\nmuller-8bit@example.com,Renée Müller",
	} {
		a := h.uploadBody(formType, formOf(`name="file"; filename="users.csv"`+"\r\n"+part,
			`name="dry_run"`+"\r\nContent-Transfer-Encoding: base64\r\n\r\n"+encoded("false")))
		h.want(a, 200)
		if i := as[importBody](t, a); i.Imported != 1 {
			t.Errorf("%s: %s", name, a.body)
		}
		if users := as[listBody[userBody]](t, h.get("/api/admin/users?email=muller-"+name+"@example.com")).Items; len(users) != 1 || users[0].Name != "Renée Müller" {
			t.Errorf("%s: stored %+v", name, users)
		}
	}
	for encoding, says := range map[string]string{"base64": "not base64", "x-uuencode": "x-uuencode"} {
		p := h.wantProblem(h.uploadBody(formType, formOf(`name="file"; filename="users.csv"`+"\r\nContent-Transfer-Encoding: "+encoding+"\r\n\r\nemail,name\r\na@example.com,A")),
			400, "invalid_multipart")
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %s", encoding, p.Detail)
		}
	}
}

// TestWrongRequestsGetTheRightCommand: for the usual mistakes with curl, the
// response has the command that works.
func TestWrongRequestsGetTheRightCommand(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, tt := range []struct {
		name, mediaType, body string
		status                int
		code                  string
		says                  []string
	}{
		{"no @", formType, formOf(`name="file"` + "\r\n\r\nusers.csv"), 400, "missing_file", []string{`curl -F "file=@users.csv"`, "name of a file"}},
		{"no @, a path", formType, formOf(`name="file"` + "\r\n\r\n/home/me/My Users.CSV"), 400, "missing_file", []string{`curl -F "file=@/home/me/My Users.CSV"`}},
		{"an @ in single quotes of a script", formType, formOf(`name="file"` + "\r\n\r\n@users.xlsx"), 400, "missing_file", []string{`curl -F "file=@users.xlsx"`}},
		{"a name that is a command", formType, formOf(`name="file"` + "\r\n\r\n$(reboot).csv"), 400, "missing_file", []string{`curl -F "file=@users.csv"`}},
		{"another part", formType, formOf(`name="users"; filename="users.csv"`+"\r\n\r\nemail,name", `name="dry_run"`+"\r\n\r\ntrue"), 400, "missing_file",
			[]string{"users (a file), dry_run", "Rename the part", `curl -F "file=@users.csv"`}},
		{"no parts", formType, "--b--\r\n", 400, "missing_file", []string{"no parts", `-F "file=@`}},
		{"-d @users.csv", "application/x-www-form-urlencoded", "email,name", 415, "unsupported_media_type", []string{`curl -F "file=@users.csv"`, "--data-binary"}},
		{"-H text/csv --data-binary", "text/csv", "email,name\n", 415, "unsupported_media_type", []string{`curl -F "file=@users.csv"`}},
		{"-H multipart -d", "multipart/form-data", "email,name\n", 400, "invalid_multipart", []string{`curl -F "file=@users.csv"`, "-d"}},
	} {
		p := h.wantProblem(h.uploadBody(tt.mediaType, tt.body), tt.status, tt.code)
		for _, says := range tt.says {
			if !strings.Contains(p.Detail, says) {
				t.Errorf("%s: %q lacks %q", tt.name, p.Detail, says)
			}
		}
		if strings.Contains(p.Detail, "reboot") {
			t.Errorf("%s: %q", tt.name, p.Detail)
		}
	}
	// curl -F "file=<users.csv" sends the file itself, without a name.
	a := h.uploadBody(formType, formOf(`name="file"`+"\r\n\r\nemail,name\nann@example.com,Ann\n"))
	h.want(a, 200)
	if n := len(as[listBody[importBody]](t, h.get(importsPath)).Items); n != 1 {
		t.Errorf("%d imports came of one good request", n)
	}
}

// TestIgnoredParametersAreNamed: parts and parameters that are not options
// cause a warning, also when the file is uploaded again.
func TestIgnoredParametersAreNamed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	post := func(query string, fields ...field) importBody {
		c := uploadCall(append([]field{file("email,name,Phone\nann@example.com,Ann,1\n")}, fields...), "Idempotency-Key", "k")
		c.path += query
		a := h.do(c)
		h.want(a, 200)
		return as[importBody](t, a)
	}
	csrf := field{name: "csrf", value: "x"}
	i := post("?utm_source=x", field{name: "Submit", value: "Import"}, csrf, csrf, field{name: "_charset_", value: "UTF-8"}, field{name: "notes\u202e", filename: "notes.txt", value: "x"})
	again := post("")
	if again.ID != i.ID || i.Imported != 1 {
		t.Errorf("sent again without them: %+v, want import %s", again, i.ID)
	}
	codes := map[string][]string{}
	for _, w := range as[struct{ Warnings []roster.Warning }](t, h.get(i.Links.Self)).Warnings {
		codes[w.Code] = append(w.Parameters, w.Columns...)
		if w.Code == roster.WarnUnknownParameters && !strings.Contains(w.Message, "utm_source, Submit, csrf") {
			t.Errorf("message %q", w.Message)
		}
	}
	if got := codes[roster.WarnUnknownParameters]; !slices.Equal(got, []string{"utm_source", "Submit", "csrf", "notes"}) {
		t.Errorf("warned of %q", got)
	}
	if len(codes[roster.WarnUnknownColumns]) != 1 {
		t.Errorf("the check's own warnings: %v", codes)
	}
}
