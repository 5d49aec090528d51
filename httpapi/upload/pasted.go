package upload

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// pastedPart is the name of the part with pasted text: see Rights.Paste.
const pastedPart = "pasted"

// pastedName is the name of the file that pasted text becomes.
const pastedName = "pasted-rows.csv"

// maxPasted bounds pasted text, in bytes. It is in memory as a whole, like a chunk of
// a file.
const maxPasted = storage.ChunkSize

// readPasted reads the part with pasted text. A blank one counts as none.
func (f *form) readPasted(part *multipart.Part) error {
	content, err := body(part)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(io.LimitReader(content, firstBuffer)); err != nil {
		return f.problem(err)
	}
	if text.Len() == firstBuffer { // from here on it takes a place like a file
		if err := f.room(); err != nil {
			return f.problem(err)
		}
		f.room = func() error { return nil }
		if _, err := text.ReadFrom(io.LimitReader(content, maxPasted-firstBuffer+1)); err != nil {
			return f.problem(err)
		}
	}
	switch {
	case text.Len() > maxPasted:
		return problem.Parameter(pastedPart, "The pasted text is larger than %d MiB. Save it as a file and upload that.", maxPasted>>20)
	case strings.TrimSpace(text.String()) == "":
		return nil
	case f.file != nil || f.pasted != nil:
		return fileAndPaste()
	}
	pasted := userfile.FromPaste(text.String())
	f.pasted = &pasted
	return nil
}

func fileAndPaste() error {
	return problem.Parameter(pastedPart, "Upload a file or paste rows, not both.")
}

// isEmpty reports whether there is nothing to read, and returns a reader of everything.
func isEmpty(r io.Reader) (bool, io.Reader) {
	first := make([]byte, 1)
	n, err := io.ReadFull(r, first)
	if n == 0 && errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, io.MultiReader(bytes.NewReader(first[:n]), failedReader{err}, r)
}

// failedReader returns an error once it is not nil.
type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return 0, io.EOF
}

// forPasted are the options for pasted text. How files are written, which a form or a
// profile may say, doesn't apply to it.
func forPasted(o roster.Options, p userfile.Pasted) roster.Options {
	o.Encoding, o.Delimiter, o.Sheet = "", "", ""
	if p.Header == nil {
		return o
	}
	o.HeaderRow = 0
	if o.Mapping == nil {
		o.Mapping = p.Mapping
	}
	return o
}
