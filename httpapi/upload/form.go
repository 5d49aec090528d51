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
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// overhead is what a body may have beyond the file, in bytes: boundaries,
// headers of parts and the options.
const overhead = 1 << 20

// filePart is the name of the part with the file.
const filePart = "file"

// maxParts is how many parts a form may have: the file, the options, and what a
// browser's form has besides.
const maxParts = 100

// maxFilename bounds a file's name, in bytes.
const maxFilename = 255

// errTooLarge: the file is over the limit.
var errTooLarge = errors.New("file too large")

// form reads a multipart/form-data body (RFC 7578) part by part, in whatever
// order they come. Nothing is held but the chunk under way and the options.
//
// Its methods return a [*problem.Problem] or io.EOF and never what the
// connection said: storage would take that for the database's words.
type form struct {
	parts    *multipart.Reader
	limit    int64
	wishes   wishes
	filename string
	unnamed  bool // the file's part has no file name
	file     *chunks
	first    []byte // the file's first chunk, until it is handed on
	count    int    // of parts so far
}

// openForm looks at everything that can be judged before the body is read.
func openForm(w http.ResponseWriter, r *http.Request, limit int64, patience time.Duration, hooks Webhooks) (*form, error) {
	if compressed(r.Header) {
		return nil, problem.New(problem.UnsupportedMedia, "The body must not be compressed: leave Content-Encoding out.").
			With("Accept-Encoding", "identity")
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return nil, problem.New(problem.UnsupportedMedia, "Send the file as multipart/form-data, in a part named file.").
			With("Accept", "multipart/form-data")
	}
	if err != nil || params["boundary"] == "" {
		return nil, problem.New(problem.InvalidMultipart, "Content-Type names no boundary. HTTP clients add it by themselves if they are left to set the header.")
	}
	if r.ContentLength > limit+overhead {
		return nil, tooLarge(limit)
	}
	f := &form{limit: limit, wishes: newWishes(hooks)}
	if err := f.wishes.query(r.URL.RawQuery); err != nil {
		return nil, err
	}
	body := &patientReader{from: http.MaxBytesReader(w, r.Body, limit+overhead), patience: patience, conn: http.NewResponseController(w)}
	f.parts = multipart.NewReader(closing(body), params["boundary"])
	return f, nil
}

// compressed tells whether a body is encoded in any way. None is decoded: a few
// bytes could become more than any limit.
func compressed(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Content-Encoding"), func(encoding string) bool {
		return encoding != "" && !strings.EqualFold(encoding, "identity")
	})
}

// begin reads up to the end of the file's first chunk; if that is the whole
// file, up to the end of the form. whole tells whether it was: then the rest
// takes no more waiting for the client.
func (f *form) begin() (whole bool, err error) {
	if err := f.readParts(); err != nil {
		return false, err
	}
	if f.file == nil {
		return false, problem.New(problem.MissingFile, "The form has no part named file.")
	}
	f.first, err = f.file.next()
	switch {
	case errors.Is(err, io.EOF) && f.unnamed && len(f.first) == 0: // what browsers send for none
		return false, problem.New(problem.MissingFile, "The part named file is empty: no file was chosen.")
	case errors.Is(err, io.EOF): // an empty file
	case err != nil:
		return false, f.problem(err)
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

// finish is [storage.Upload].Finish.
func (f *form) finish() (string, roster.Options, error) {
	if err := f.readParts(); err != nil {
		return "", roster.Options{}, err
	}
	return f.filename, f.wishes.options, nil
}

// readParts reads up to the file or the end of the form. Called again behind
// the end it does nothing.
func (f *form) readParts() error {
	for f.parts != nil {
		part, err := f.parts.NextPart()
		if errors.Is(err, io.EOF) { // the closing boundary: see closing
			f.parts = nil
			return nil
		}
		if err != nil {
			return f.problem(err)
		}
		if f.count++; f.count > maxParts {
			return problem.New(problem.InvalidMultipart, "The form has more than %d parts.", maxParts)
		}
		if part.FormName() == filePart {
			if f.file != nil {
				return problem.New(problem.InvalidMultipart, "The form has more than one part named file; an import is one file.")
			}
			f.filename, f.unnamed = cleanFilename(part.FileName()), part.FileName() == ""
			f.file = &chunks{from: part, limit: f.limit}
			return nil
		}
		if err := f.readOption(part); err != nil {
			return err
		}
	}
	return nil
}

func (f *form) readOption(part *multipart.Part) error {
	option, known, err := recognize(part.FormName())
	if err != nil || !known {
		return err
	}
	var value bytes.Buffer
	n, err := value.ReadFrom(io.LimitReader(part, maxValue+1))
	if err != nil {
		return f.problem(err)
	}
	if n > maxValue {
		return problem.Parameter(option, "%s is longer than %d bytes.", option, maxValue)
	}
	return f.wishes.part(option, value.String())
}

// problem says what ended the reading of the body.
func (f *form) problem(err error) error {
	var tooMany *http.MaxBytesError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &tooMany):
		return tooLarge(f.limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.UploadTooSlow, "The body came too slowly, or stopped coming.")
	}
	return problem.New(problem.InvalidMultipart, "The body is not a complete multipart form: it breaks off or its boundaries are not where they should be.")
}

func tooLarge(limit int64) error {
	return problem.New(problem.FileTooLarge, "The file is larger than %d bytes, the most this server takes. Split it.", limit)
}

// cleanFilename makes a file's name safe to keep and to show: no path, no
// control characters, at most 255 bytes of valid UTF-8. It is never used to
// open anything.
func cleanFilename(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if name = strings.TrimSpace(name); name == "" {
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

// closing lets a body end with its closing boundary only. To package multipart
// one that ends behind any other boundary is as good, and the options that were
// to follow would be lost. The line end is one that clients may leave out.
func closing(body io.Reader) io.Reader {
	return io.MultiReader(body, strings.NewReader("\r\n"), cutOff{})
}

// cutOff is where a body ends too early.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// patientReader gives every MiB of a body the same time to arrive.
type patientReader struct {
	from     io.Reader
	conn     *http.ResponseController
	patience time.Duration
	left     int64 // bytes until the deadline moves
}

func (p *patientReader) Read(b []byte) (int, error) {
	if p.left <= 0 {
		p.left = storage.ChunkSize
		// ErrNotSupported is all it can be, and then the server's own
		// deadlines have to do.
		_ = p.conn.SetReadDeadline(time.Now().Add(p.patience))
	}
	n, err := p.from.Read(b)
	p.left -= int64(n)
	return n, err
}
