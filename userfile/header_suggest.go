package userfile

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"rollcall/roster"
	"rollcall/tabular"
)

// synonyms are headers that other systems write for our columns, in matching
// form. They are only suggested: what a column means is for people to say.
var synonyms = [len(roster.Columns)][]string{
	{"emailaddress", "mail", "mailaddress", "workemail", "businessemail", "emailwork", "primaryemail", "emailid",
		"userprincipalname", "upn", "emailadresse", "mailadresse", "courriel", "correo", "correoelectronico", "correoelectrónico", "adresseemail",
		"adressemail", "indirizzoemail", "メールアドレス", "メール", "邮箱", "电子邮件", "이메일", "почта"},
	{"fullname", "displayname", "employeename", "employee", "person", "contactname", "legalname", "completename", "commonname", "cn", "ename", "membername", "nom", "nomcomplet", "nombre",
		"nombrecompleto", "vollständigername", "vollstandigername", "anzeigename", "mitarbeiter", "naam", "nome", "氏名", "名前", "姓名", "이름", "имя", "фио"},
	{"userrole", "accessrole", "permission", "permissions", "accesslevel", "usertype", "type", "rolle", "rôle", "rol", "ruolo"},
	{"dept", "division", "team", "unit", "orgunit", "organisation", "organization", "businessunit", "costcenter", "abteilung", "departement",
		"département", "departamento", "service", "reparto", "afdeling", "部署", "部門", "部门"},
}

// columnWords are the words by which a longer header may be meant for a column:
// "Employee e-mail (work)".
var columnWords = [len(roster.Columns)][]string{{"email", "mail", "emails"}, {"name", "names"}, {"role"}, {"department"}}

// otherWords make a header one for something else, whatever other words it has.
var otherWords = [len(roster.Columns)][]string{
	slices.Concat(notAPerson, []string{"name"}),
	slices.Concat(notAPerson, []string{"email", "mail", "nick", "short", "middle", "maiden", "display_order"}),
	{"job", "email", "mail", "name", "description", "date", "id", "count"},
	{"email", "mail", "manager", "head", "lead", "date", "count"},
}

// notAPerson are words of headers that have neither the name nor the address of
// the person in the row.
var notAPerson = []string{
	"first", "last", "given", "family", "sur", "company", "user", "file", "opt", "optin", "in", "out", "optout", "verified", "confirmed", "valid",
	"status", "type", "domain", "date", "time", "at", "sent", "manager", "supervisor", "boss", "group", "department", "team", "account", "host", "server",
	"template", "subject", "subscribed", "subscription", "consent", "newsletter", "bounced", "count", "id", "role", "project", "product", "event",
	"school", "city", "country", "street", "private", "personal", "secondary", "alternate", "alternative", "recovery", "old", "previous", "parent",
	"emergency", "assistant", "contact2", "cc", "bcc", "password", "hash",
}

// givenNames and familyNames are the headers, in matching form, of a name in two
// columns.
var (
	givenNames = []string{"firstname", "givenname", "forename", "first", "given", "vorname", "prénom", "prenom", "nombredepila", "nome", "voornaam",
		"imię", "имя", "名"}
	familyNames = []string{"lastname", "surname", "familyname", "last", "family", "nachname", "familienname", "nomdefamille", "apellido", "apellidos",
		"cognome", "achternaam", "nazwisko", "фамилия", "姓"}
)

// Suggest finds the header that probably holds a column which is not there by
// name; several if the name is in two columns.
func Suggest(column roster.Column, header []string) (string, bool) {
	forms, taken := make([]string, len(header)), map[int]bool{}
	for i, h := range header {
		forms[i] = canonicalHeader(h)
		for _, c := range roster.Columns {
			taken[i] = taken[i] || forms[i] == string(c)
		}
	}
	headers, ok := suggestHeaders(column, header, forms, taken)
	return string(headers), ok
}

// suggestHeaders finds headers for a column among those that are not taken.
func suggestHeaders(column roster.Column, header, forms []string, taken map[int]bool) (roster.Headers, bool) {
	k := slices.Index(roster.Columns[:], column)
	if k < 0 {
		return "", false
	}
	find := func(wanted string) (string, bool) {
		for i, form := range forms {
			if !taken[i] && form == wanted {
				return strings.TrimSpace(header[i]), true
			}
		}
		return "", false
	}
	findAny := func(list []string) (string, bool) {
		for _, wanted := range list {
			if h, ok := find(wanted); ok {
				return h, true
			}
		}
		return "", false
	}
	if column == roster.ColumnName {
		given, one := findAny(givenNames)
		family, two := findAny(familyNames)
		if one && two {
			return roster.JoinHeaders(given, family), true
		}
		if family == "" && given != "" { // "nome" and "имя" are also the whole name
			if h, ok := findAny(synonyms[k]); ok {
				return roster.Headers(h), true
			}
		}
	}
	if h, ok := findAny(synonyms[k]); ok {
		return roster.Headers(h), true
	}
	for i, h := range header {
		if !taken[i] && meansByWord(k, h) {
			return roster.Headers(strings.TrimSpace(h)), true
		}
	}
	return "", false
}

// meansByWord reports whether a header has the word for our k-th column among
// its words, and none for something else.
func meansByWord(k int, header string) bool {
	if strings.Contains(header, "@") {
		return false // a person, not a header
	}
	is := false
	for _, word := range headerWords(header) {
		if slices.Contains(otherWords[k], word) {
			return false
		}
		is = is || slices.Contains(columnWords[k], word)
	}
	return is
}

// headerWords splits a header into words in lower case: at all that is neither a
// letter nor a digit, and at a capital in "displayName". "E-mail" is one word.
func headerWords(header string) []string {
	var b strings.Builder
	var before rune
	for _, r := range strings.TrimSpace(header) {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		before = r
	}
	name := strings.ReplaceAll(tabular.NormalizeHeader(b.String()), "e_mail", "email")
	return strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// passwordWords are words of headers of columns that hold passwords.
var passwordWords = []string{"password", "passwords", "passwort", "kennwort", "passwd", "pwd", "passphrase", "pin", "secret", "contraseña", "contrasena",
	"senha", "motdepasse", "wachtwoord", "пароль", "パスワード", "密码", "密碼", "pw", "passhash", "pwhash", "pwdhash", "passcode", "userpass", "bcrypt",
	"salt", "hasło", "haslo", "heslo", "lösenord", "losenord", "adgangskode", "passord", "jelszó", "jelszo", "parola", "şifre", "sifre", "salasana"}

// besidePass are words beside which "pass" is a password, not a ticket.
var besidePass = []string{"hash", "hashed", "user", "word", "phrase", "code", "salt", "digest", "encrypted", "crypt", "temp", "temporary", "initial", "default",
	"login", "my", "new", "old", "key", "wp", "md5", "sha1", "sha256", "plain"}

// isPassword reports whether a column seems to hold passwords.
func isPassword(header string) bool {
	if named := canonicalHeader(header); strings.Contains(named, "password") || strings.Contains(named, "passwort") || strings.Contains(named, "motdepasse") {
		return true
	}
	words := headerWords(header)
	if i := slices.Index(words, "pass"); i >= 0 {
		return !slices.ContainsFunc(slices.Delete(slices.Clone(words), i, i+1), func(word string) bool { return !slices.Contains(besidePass, word) })
	}
	return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(passwordWords, word) })
}

// HidePasswords empties the cells of a row's values that seem to hold passwords.
func (s *Reader) HidePasswords(values []string) []string {
	for _, i := range s.columns.passwords {
		if i < len(values) {
			values[i] = ""
		}
	}
	return values
}

func mappingText(mapping map[roster.Column]roster.Headers) string {
	var raw strings.Builder
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false) // people read and copy it
	if err := encoder.Encode(mapping); err != nil {
		return ""
	}
	return strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(strings.TrimSpace(raw.String()))
}
