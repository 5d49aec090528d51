package upload

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// overhead is how much larger than the file a body may be, in bytes:
// boundaries, part headers and options.
const overhead = 1 << 20

// filePart is the name of the part with the file.
const filePart = "file"

// maxParts is how many parts a form may have: the file, the options, and the
// other fields of a browser's form.
const maxParts = 100

// maxFilename bounds a file's name, in bytes.
const maxFilename = 255

// errTooLarge: the file exceeds the limit.
var errTooLarge = errors.New("file too large")

// form reads a multipart/form-data body (RFC 7578) part by part, in any order.
// It keeps only the current chunk and the options in memory.
//
// Its methods return a [*problem.Problem] or io.EOF and never an error of the
// connection, which storage would mistake for one of the database.
type form struct {
	body     *deadlineReader
	heads    *headLimiter // between body and parts
	parts    *multipart.Reader
	limit    int64
	room     func() error // called before a file takes more than a little memory
	wishes   optionSet
	filename string
	unnamed  bool // the file's part has no filename
	file     *chunks
	pasted   *userfile.Pasted // in the place of a file
	first    []byte           // the file's first chunk, until it is passed on
	count    int              // of parts so far
	came     []came           // the parts other than the file
}

// openForm looks at everything that can be judged before the body is read.
func openForm(w http.ResponseWriter, r *http.Request, limit int64, pace pace, rights Rights) (*form, error) {
	if compressed(r.Header) {
		return nil, problem.New(problem.UnsupportedMedia, "Compressed bodies are not supported. Remove the Content-Encoding header.").
			With("Accept-Encoding", "identity")
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return nil, needsForm(mediaType)
	}
	if err != nil || params["boundary"] == "" {
		return nil, problem.New(problem.InvalidMultipart, "Content-Type has no boundary; let your HTTP client set this header. With curl: "+curlFile("users.csv")+", not -d or --data-binary.")
	}
	if r.ContentLength > limit+overhead {
		return nil, tooLarge(limit)
	}
	f := &form{limit: limit, wishes: newOptionSet(rights), room: func() error { return nil }}
	if err := f.wishes.query(r.URL.RawQuery); err != nil {
		return nil, err
	}
	f.body = &deadlineReader{from: http.MaxBytesReader(w, r.Body, limit+overhead), pace: pace, conn: http.NewResponseController(w)}
	f.heads = &headLimiter{from: requireClosingBoundary(f.body)}
	f.parts = multipart.NewReader(f.heads, params["boundary"])
	return f, nil
}

// compressed reports whether a body has a content encoding. None is decoded: a
// few bytes could expand beyond any limit.
func compressed(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Content-Encoding"), func(encoding string) bool {
		return encoding != "" && !strings.EqualFold(encoding, "identity")
	})
}

// readFirstChunk reads up to the end of the file's first chunk; if that is the
// whole file, up to the end of the form. whole reports whether it was: then no
// further waiting for the client is needed.
func (f *form) readFirstChunk() (whole bool, err error) {
	if err := f.readParts(); err != nil {
		return false, err
	}
	if f.file == nil && f.pasted != nil {
		f.filename = pastedName
		f.file = &chunks{from: bytes.NewReader(f.pasted.File), limit: f.limit, room: f.room}
	}
	if f.file == nil {
		return false, missingFile(f.came)
	}
	f.first, err = f.file.next()
	switch {
	case errors.Is(err, io.EOF) && f.unnamed && len(f.first) == 0: // what browsers send without a file
		return false, problem.New(problem.MissingFile, "No file was selected: the part named file is empty.")
	case errors.Is(err, io.EOF): // an empty file
	case err != nil:
		return false, f.problem(err)
	case f.unnamed && filenameSent(f.first) != "":
		return false, filenameAsText(filenameSent(f.first))
	case len(f.first) == storage.ChunkSize:
		return false, nil
	}
	return true, f.readParts()
}

// next is [storage.Upload].Next.
func (f *form) next() ([]byte, error) {
	if chunk := f.first; len(chunk) > 0 {
		f.first = nil
		return chunk, nil
	}
	chunk, err := f.file.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.problem(err)
	}
	return chunk, err
}

// warnings is [storage.Upload].Warnings.
func (f *form) warnings() []roster.Warning {
	list := ignoredParts(f.wishes.ignored)
	if f.pasted != nil {
		if w := f.pasted.Warning(); w != nil {
			list = append(list, *w)
		}
	}
	return list
}

// finish is [storage.Upload].Finish.
func (f *form) finish() (string, roster.Options, error) {
	if err := f.readParts(); err != nil {
		return "", roster.Options{}, err
	}
	o, err := f.wishes.finish()
	if f.pasted != nil {
		o = forPasted(o, *f.pasted)
	}
	return f.filename, o, err
}

// readParts reads up to the file or the end of the form. After the end it does
// nothing.
func (f *form) readParts() error {
	for f.parts != nil {
		part, err := f.nextPart()
		if errors.Is(err, io.EOF) { // the closing boundary: see requireClosingBoundary
			f.parts = nil
			return f.readEpilogue()
		}
		if err != nil {
			return f.problem(err)
		}
		if f.count++; f.count > maxParts {
			return problem.New(problem.InvalidMultipart, "The form has more than %d parts.", maxParts)
		}
		if part.FormName() == filePart {
			if f.file != nil {
				return problem.New(problem.InvalidMultipart, "The form has more than one part named file. Upload one file per import.")
			}
			content, err := body(part)
			if err != nil {
				return err
			}
			if f.wishes.rights.Paste && part.FileName() == "" { // no file was chosen
				if empty, rest := isEmpty(content); empty {
					continue
				} else {
					content = rest
				}
			}
			if f.pasted != nil {
				return fileAndPaste()
			}
			f.filename, f.unnamed = cleanFilename(part.FileName()), part.FileName() == ""
			f.file = &chunks{from: content, limit: f.limit, room: f.room}
			return nil
		}
		if f.wishes.rights.Paste && part.FormName() == pastedPart {
			if err := f.readPasted(part); err != nil {
				return err
			}
			continue
		}
		f.came = append(f.came, came{part.FormName(), part.FileName() != ""})
		if err := f.readOption(part); err != nil {
			return err
		}
	}
	return nil
}

// nextPart reads the header of the next part. The part before is read to its end.
func (f *form) nextPart() (*multipart.Part, error) {
	f.heads.head, f.heads.left = true, maxPartHead
	defer func() { f.heads.head = false }()
	return f.parts.NextPart()
}

// readEpilogue reads what follows the closing boundary, nearly always nothing: a
// connection whose request has come to its end needs no deadline any more.
func (f *form) readEpilogue() error {
	if _, err := io.Copy(io.Discard, f.body); err != nil {
		return f.problem(err)
	}
	return nil
}

func (f *form) readOption(part *multipart.Part) error {
	option, known, err := optionName(part.FormName())
	if err != nil {
		return err
	}
	if !known {
		f.wishes.ignore(part.FormName())
		if _, err := io.Copy(io.Discard, part); err != nil {
			return f.problem(err)
		}
		return nil
	}
	content, err := body(part)
	if err != nil {
		return err
	}
	var value bytes.Buffer
	n, err := value.ReadFrom(io.LimitReader(content, maxValue+1))
	if err != nil {
		return f.problem(err)
	}
	if n > maxValue {
		return problem.Parameter(option, "%s is longer than %d bytes.", option, maxValue)
	}
	return f.wishes.part(option, value.String())
}

// problem converts the error that ended the reading of the body.
func (f *form) problem(err error) error {
	var tooMany *http.MaxBytesError
	var refused *problem.Problem
	switch {
	case errors.As(err, &refused): // a place
		return refused
	case errors.Is(err, errPartHead), errors.Is(err, multipart.ErrMessageTooLarge):
		return problem.New(problem.InvalidMultipart, "The header of a part is larger than %d bytes, or has too many lines.", maxPartHead)
	case errors.Is(err, errTooLarge), errors.As(err, &tooMany):
		return tooLarge(f.limit)
	case errors.Is(err, errBase64):
		return problem.New(problem.InvalidMultipart, "A part has the Content-Transfer-Encoding base64 but is not base64.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.UploadTooSlow, "The upload was too slow, or stopped.")
	}
	return problem.New(problem.InvalidMultipart, "The multipart form is incomplete or malformed: it is cut off, or a boundary is wrong.")
}

func tooLarge(limit int64) error {
	return problem.New(problem.FileTooLarge, "The file is larger than %d bytes, the maximum. Split it.", limit)
}

// cleanFilename makes a filename safe to store and to show: no path, no control
// characters, at most 255 bytes of valid UTF-8. It is never used to open a
// file.
func cleanFilename(name string) string {
	name = cleanText(name[strings.LastIndexAny(name, `/\`)+1:])
	if name == "" {
		return "upload.csv"
	}
	if len(name) > maxFilename {
		cut := maxFilename
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut]
	}
	return name
}

// cleanText removes characters that could make s look like something else.
func cleanText(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}
