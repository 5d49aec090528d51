package upload

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"rollcall/httpapi/problem"
	"rollcall/roster"
)

// maxNamed bounds how many parts an error message lists.
const maxNamed = 10

// maxShown bounds how much of a name an error message repeats, in bytes.
const maxShown = 100

// short is a name as repeated in error messages.
func short(name string) string {
	if len(name) > maxShown {
		name = name[:maxShown] + "…"
	}
	return cleanText(name)
}

// body is the content of a part with its Content-Transfer-Encoding decoded.
// Package multipart already decodes quoted-printable.
func body(part *multipart.Part) (io.Reader, error) {
	encoding := strings.ToLower(strings.TrimSpace(part.Header.Get("Content-Transfer-Encoding")))
	switch encoding {
	case "", "7bit", "8bit", "binary":
		return part, nil
	case "base64":
		return base64Reader{base64.NewDecoder(base64.StdEncoding, part)}, nil
	}
	return nil, problem.New(problem.InvalidMultipart,
		"The part named %s has the Content-Transfer-Encoding %s, which isn't supported. Send it as it is, or as base64.", short(part.FormName()), short(encoding))
}

// errBase64 is a part that is not valid base64 although its header says so.
var errBase64 = errors.New("invalid base64")

// base64Reader distinguishes invalid base64 from errors of the connection.
type base64Reader struct{ from io.Reader }

func (r base64Reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if _, corrupt := errors.AsType[base64.CorruptInputError](err); corrupt {
		err = errBase64
	}
	return n, err
}

// came is a received part, with what an error message repeats of it.
type came struct {
	name   string
	isFile bool // it has a file name
}

// missingFile lists the parts that were received instead of one named file.
func missingFile(parts []came) *problem.Problem {
	if len(parts) == 0 {
		return problem.New(problem.MissingFile, "The form has no parts. Send the file in a part named file: "+curlFile("users.csv"))
	}
	var names []string
	files := 0
	for _, p := range parts {
		name := short(p.name)
		if name == "" {
			name = "one without a name"
		}
		if p.isFile {
			files++
			name += " (a file)"
		}
		if len(names) < maxNamed {
			names = append(names, name)
		}
	}
	if more := len(parts) - len(names); more > 0 {
		names = append(names, "and more")
	}
	advice := "Send the file in a part named file: " + curlFile("users.csv")
	if files == 1 {
		advice = "Rename the part with the file to file: " + curlFile("users.csv")
	}
	return problem.New(problem.MissingFile, "%s", "The form has no part named file. Its parts are: "+strings.Join(names, ", ")+". "+advice)
}

// curlFile is the option of curl that sends a file.
func curlFile(name string) string { return `curl -F "file=@` + name + `"` }

// filenameExtensions are those of files that people import or try to import.
var filenameExtensions = []string{".csv", ".txt", ".tsv", ".tab", ".xlsx", ".xls", ".ods", ".json", ".zip"}

// filenameSent detects a filename that was sent instead of the file, as with
// curl -F file=users.csv; "" for none.
func filenameSent(content []byte) string {
	const longest = 1024
	name := strings.TrimSpace(string(content))
	if len(content) > longest || name == "" || strings.ContainsAny(name, "\r\n\t,;|\x00") {
		return ""
	}
	lower := strings.ToLower(name)
	for _, extension := range filenameExtensions {
		if strings.HasSuffix(lower, extension) {
			return name
		}
	}
	return ""
}

// filenameAsText is the problem of a part that contains a filename.
func filenameAsText(name string) *problem.Problem {
	name = strings.TrimLeft(name, "@<")
	if strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune("\"'`$!\\", r) }) || name != cleanText(name) {
		name = "users.csv" // not safe to show in a command line
	}
	return problem.New(problem.MissingFile, "%s",
		"The part named file holds the name of a file, not the file. Put an @ before the name: "+curlFile(roster.TruncateValue(name)))
}

// needsForm is the problem of a body that is not a form.
func needsForm(mediaType string) *problem.Problem {
	detail := "Send the file as multipart/form-data in a part named file: " + curlFile("users.csv") + ` -H "Authorization: Bearer $ADMIN_API_TOKEN" URL.`
	if mediaType == "application/x-www-form-urlencoded" { // curl's -d, --data-binary and --data-urlencode
		detail += " Use -F in place of -d, --data or --data-binary."
	}
	return problem.New(problem.UnsupportedMedia, "%s", detail).With("Accept", "multipart/form-data")
}

// ignoredParts warns about parts and query parameters that have no effect; nil
// for none.
func ignoredParts(names []string) []roster.Warning {
	if len(names) == 0 {
		return nil
	}
	shown := make([]string, 0, maxNamed)
	for _, name := range names[:min(len(names), maxNamed)] {
		shown = append(shown, short(name))
	}
	message := "These form parts or parameters are not options and were ignored: " + strings.Join(shown, ", ")
	if len(names) > maxNamed {
		message += " and more"
	}
	return []roster.Warning{{Code: roster.WarnUnknownParameters, Message: message + ".", Parameters: shown}}
}
