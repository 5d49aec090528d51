package roster_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
)

func TestCheckRowAccepts(t *testing.T) {
	t.Parallel()
	const nbsp = "\u00a0"
	grace := roster.UserFields{Email: "Grace@Example.com", EmailKey: "grace@example.com", Name: "Grace Hopper", Role: roster.RoleUser}
	with := func(change func(*roster.UserFields)) roster.UserFields {
		p := grace
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		cells roster.Cells
		want  roster.UserFields
	}{
		"required only": {roster.Cells{Email: "Grace@Example.com", Name: "Grace Hopper"}, grace},
		"all": {roster.Cells{Email: "Grace@Example.com", Name: "Grace Hopper", Role: "admin", Department: "Navy"},
			with(func(p *roster.UserFields) { p.Role, p.RoleGiven, p.Department = roster.RoleAdmin, true, "Navy" })},
		"role user in any case": {roster.Cells{Email: "Grace@Example.com", Name: "Grace Hopper", Role: "USER"},
			with(func(p *roster.UserFields) { p.RoleGiven = true })},
		"role admin in any case": {roster.Cells{Email: "Grace@Example.com", Name: "Grace Hopper", Role: "Admin"},
			with(func(p *roster.UserFields) { p.Role, p.RoleGiven = roster.RoleAdmin, true })},
		"white space around": {roster.Cells{Email: nbsp + "Grace@Example.com\t", Name: " \u2003Grace Hopper" + nbsp, Role: nbsp + "admin ", Department: " Navy\n"},
			with(func(p *roster.UserFields) { p.Role, p.RoleGiven, p.Department = roster.RoleAdmin, true, "Navy" })},
		"blank role": {roster.Cells{Email: "Grace@Example.com", Name: "Grace Hopper", Role: nbsp}, grace},
		"200 characters": {roster.Cells{Email: "Grace@Example.com", Name: strings.Repeat("ü", 200), Department: strings.Repeat("部", 200)},
			with(func(p *roster.UserFields) {
				p.Name, p.Department = strings.Repeat("ü", 200), strings.Repeat("部", 200)
			})},
		"formulas are text": {roster.Cells{Email: "Grace@Example.com", Name: "=1+1", Department: "@home"},
			with(func(p *roster.UserFields) { p.Name, p.Department = "=1+1", "@home" })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, problems := roster.CheckRow(c.cells)
			if diff := cmp.Diff(c.want, got); diff != "" || problems != nil {
				t.Errorf("%s\nproblems: %v", diff, problems)
			}
		})
	}
}

func TestCheckRowRefuses(t *testing.T) {
	t.Parallel()
	good := roster.Cells{Email: "grace@example.com", Name: "Grace"}
	with := func(change func(*roster.Cells)) roster.Cells {
		c := good
		change(&c)
		return c
	}
	long := strings.Repeat("x", 201)
	for name, c := range map[string]struct {
		cells roster.Cells
		want  []roster.Problem
	}{
		"no e-mail": {with(func(c *roster.Cells) { c.Email = " " }),
			[]roster.Problem{{"email", roster.MissingRequiredField, " ", "The email address is empty.", "", ""}}},
		"bad e-mail": {with(func(c *roster.Cells) { c.Email = " grace " }),
			[]roster.Problem{{"email", roster.InvalidEmail, "grace", "The address has no @.", "", ""}}},
		"long e-mail": {with(func(c *roster.Cells) { c.Email = longAddress(255) }),
			[]roster.Problem{{"email", roster.ValueTooLong, longAddress(255), "The email address is longer than 254 bytes.", "", ""}}},
		"no name": {with(func(c *roster.Cells) { c.Name = "\u00a0" }),
			[]roster.Problem{{"name", roster.MissingRequiredField, "\u00a0", "The name is empty.", "", ""}}},
		"long name": {with(func(c *roster.Cells) { c.Name = long }),
			[]roster.Problem{{"name", roster.ValueTooLong, long, "The name has 201 characters; the maximum is 200.", "", ""}}},
		"line break in name": {with(func(c *roster.Cells) { c.Name = "Grace\r\nBcc: all" }),
			[]roster.Problem{{"name", roster.MalformedRow, "Grace\r\nBcc: all", "The name contains a line break.", "Grace Bcc: all", "Put a space in place of the line break"}}},
		"open quote": {with(func(c *roster.Cells) { c.Name, c.Department = `"Grace`, `19" racks` }),
			[]roster.Problem{{"name", roster.MalformedRow, `"Grace`, "The name begins with a quote that is never closed.", "", "Remove the quote, or close it"}}},
		"tab in name": {with(func(c *roster.Cells) { c.Name = "Grace\tHopper" }),
			[]roster.Problem{{"name", roster.MalformedRow, "Grace\tHopper", "The name contains a tab.", "Grace Hopper", "Put a space in place of the tab"}}},
		"escape in name": {with(func(c *roster.Cells) { c.Name = "ü\x1b[31m" }),
			[]roster.Problem{{"name", roster.MalformedRow, "ü\x1b[31m", "The name contains a control character.", "", ""}}},
		"C1 control in name": {with(func(c *roster.Cells) { c.Name = "Grace\u0085Hopper" }),
			[]roster.Problem{{"name", roster.MalformedRow, "Grace\u0085Hopper", "The name contains a control character.", "Grace Hopper", "Put a space in its place, or take the suggested value"}}},
		"NUL in name": {with(func(c *roster.Cells) { c.Name = "Gra\x00ce" }),
			[]roster.Problem{{"name", roster.MalformedRow, "Gra\uFFFDce", "The name contains a control character.", "", ""}}},
		"role": {with(func(c *roster.Cells) { c.Role = " superuser " }),
			[]roster.Problem{{"role", roster.InvalidRole, "superuser", "The role must be user or admin.", "", ""}}},
		"long department": {with(func(c *roster.Cells) { c.Department = long }),
			[]roster.Problem{{"department", roster.ValueTooLong, long, "The department has 201 characters; the maximum is 200.", "", ""}}},
		"DEL in department": {with(func(c *roster.Cells) { c.Department = "R\x7fD" }),
			[]roster.Problem{{"department", roster.MalformedRow, "R\x7fD", "The department contains a control character.", "", ""}}},
		"all at once, in the order of the columns": {roster.Cells{Email: "x", Role: "y", Department: "a\nb"}, []roster.Problem{
			{"email", roster.InvalidEmail, "x", "The address has no @.", "", ""},
			{"name", roster.MissingRequiredField, "", "The name is empty.", "", ""},
			{"role", roster.InvalidRole, "y", "The role must be user or admin.", "", ""},
			{"department", roster.MalformedRow, "a\nb", "The department contains a line break.", "a b", "Put a space in place of the line break"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := roster.CheckRow(c.cells)
			if diff := cmp.Diff(c.want, problems); diff != "" {
				t.Error(diff)
			}
			for _, p := range problems {
				if p.Code.RowFix() == "" {
					t.Errorf("%s has no fix", p.Code)
				}
			}
		})
	}
}

func TestEmailKeyOfAFailedRow(t *testing.T) {
	t.Parallel()
	p, problems := roster.CheckRow(roster.Cells{Email: "Grace@Example.com"})
	if p.EmailKey != "grace@example.com" || len(problems) != 1 {
		t.Errorf("key %q, problems %v", p.EmailKey, problems)
	}
}

// TestMessagesRepeatNoValue: messages are kept longer than the values.
func TestMessagesRepeatNoValue(t *testing.T) {
	t.Parallel()
	const secret = "Zanzibar"
	_, problems := roster.CheckRow(roster.Cells{
		Email: secret, Name: secret + "\n", Role: secret, Department: strings.Repeat(secret, 50)})
	problems = append(problems, roster.DuplicateInFile(secret, 4), roster.AlreadyExists(secret), roster.Unprocessable(secret))
	for _, p := range problems {
		if strings.Contains(p.Message, secret) {
			t.Errorf("%s: %s", p.Code, p.Message)
		}
	}
	if m := roster.DuplicateInFile(secret, 4).Message; !strings.Contains(m, "row 4") {
		t.Errorf("the message does not name the row: %s", m)
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"short":         {"Grace", "Grace"},
		"500 bytes":     {strings.Repeat("x", 500), strings.Repeat("x", 500)},
		"501 bytes":     {strings.Repeat("x", 501), strings.Repeat("x", 500) + "…"},
		"rune boundary": {"x" + strings.Repeat("ü", 300), "x" + strings.Repeat("ü", 249) + "…"},
		"NUL":           {"a\x00b", "a\uFFFDb"},
		"invalid":       {"a\xffb", "a\uFFFDb"},
		"no boundary":   {strings.Repeat("\x80", 600), "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := roster.TruncateValue(c.in); got != c.want || !utf8.ValidString(got) {
				t.Errorf("got %q", got)
			}
		})
	}
}
