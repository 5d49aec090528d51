package workbook

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Limits bound what a workbook may need. Zero values take the default, which no
// workbook that people work with comes near.
type Limits struct {
	// PartBytes is the size of one XML part, unpacked; default 1 GiB. All parts that
	// are read together may have twice that.
	PartBytes int64
	// TextBytes is the memory for the workbook's table of distinct texts; default
	// 64 MiB. Each text takes its bytes in UTF-8 and up to seven more.
	TextBytes int
	// Formats is how many cell formats there may be; default 65,536.
	Formats int
	// Sheets is how many sheets there may be; default 1,000.
	Sheets int
}

func (l *Limits) setDefaults() {
	l.PartBytes = cmp.Or(l.PartBytes, 1<<30)
	l.TextBytes = cmp.Or(l.TextBytes, 64<<20)
	l.Formats = cmp.Or(l.Formats, 1<<16)
	l.Sheets = cmp.Or(l.Sheets, 1000)
}

// maxDirectory is how much of a ZIP archive's table of contents is read, in bytes:
// some ten thousand files. An entry takes several times as much memory.
const maxDirectory = 1 << 20

// maxSmallPart is the size of parts that are no sheets, unpacked, in bytes.
const maxSmallPart = 32 << 20

// archive is the ZIP archive of a workbook. Parts are found by their name in any
// case, as Office does.
type archive struct {
	entries map[string]*zip.File
	source  *meteredReader
	limits  Limits
	left    int64 // bytes that may still be unpacked
}

// meteredReader stops reads that exceed a budget.
type meteredReader struct {
	r      io.ReaderAt
	left   int64
	metred bool
	failed bool // the source could not be read, whatever the archive is like
}

var errBudget = errors.New("read budget exceeded")

func (m *meteredReader) ReadAt(p []byte, at int64) (int, error) {
	if m.metred {
		if m.left -= int64(len(p)); m.left < 0 {
			return 0, errBudget
		}
	}
	if at < 0 { // a damaged directory points there
		return 0, zip.ErrFormat
	}
	n, err := m.r.ReadAt(p, at)
	m.failed = m.failed || err != nil && err != io.EOF
	return n, err
}

func openArchive(r io.ReaderAt, size int64, limits Limits) (*archive, error) {
	limits.setDefaults()
	a := &archive{entries: map[string]*zip.File{}, source: &meteredReader{r: r, left: maxDirectory, metred: true}, limits: limits, left: 2 * limits.PartBytes}
	z, err := zip.NewReader(a.source, size)
	switch {
	case errors.Is(err, errBudget):
		return nil, tooLarge("The workbook is a ZIP archive with too many files in it.")
	case err != nil && a.source.failed:
		return nil, fmt.Errorf("read workbook: %w", err)
	case err != nil && !errors.Is(err, zip.ErrInsecurePath):
		return nil, damaged("it is a ZIP archive that is incomplete")
	}
	a.source.metred = false
	z.RegisterDecompressor(zip.Deflate, flate.NewReader)
	for _, f := range z.File {
		name := partKey(f.Name)
		if _, twice := a.entries[name]; twice && !strings.HasSuffix(name, "/") {
			return nil, damaged("it has two files of the same name")
		}
		a.entries[name] = f
	}
	return a, nil
}

// partKey is the form in which the names of parts are compared.
func partKey(name string) string {
	return strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "/"))
}

// resolve returns the name of the part that a relationship of another part means.
// It stays within the archive, whatever the target says.
func resolve(base, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", path.Dir(base), target)
	}
	return partKey(path.Clean(target))
}

func (a *archive) has(name string) bool { return a.entries[partKey(name)] != nil }

// hasPrefix reports whether any name begins so.
func (a *archive) hasPrefix(prefix string) bool {
	for name := range a.entries {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// open opens a part that may have at most most bytes. A part that isn't there is nil.
func (a *archive) open(name string, most int64) (*part, error) {
	f := a.entries[partKey(name)]
	if f == nil {
		return nil, nil
	}
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		return nil, protected()
	}
	if f.UncompressedSize64 > uint64(most) {
		return nil, partTooLarge(most)
	}
	r, err := f.Open()
	if err != nil {
		return nil, a.readError(err)
	}
	return &part{r: r, archive: a, left: most, most: most}, nil
}

func partTooLarge(most int64) *Error {
	return tooLarge("The workbook has a part that is larger than %d MiB when unpacked.", most>>20)
}

// scan opens a part as XML.
func (a *archive) scan(name string, most int64) (*part, *xmlScanner, error) {
	p, err := a.open(name, most)
	if p == nil || err != nil {
		return nil, nil, err
	}
	x, err := newXMLScanner(p)
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, x, nil
}

// begin returns the beginning of a small part.
func (a *archive) begin(name string, n int) ([]byte, error) {
	p, err := a.open(name, maxSmallPart)
	if p == nil || err != nil {
		return nil, err
	}
	defer p.close()
	buf := make([]byte, n)
	n, err = io.ReadFull(p, buf)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return buf[:n], err
}

// part is one file of the archive being unpacked.
type part struct {
	r          io.ReadCloser
	archive    *archive
	left, most int64
}

func (p *part) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.left -= int64(n)
	p.archive.left -= int64(n)
	switch {
	case p.left < 0 || p.archive.left < 0:
		return 0, partTooLarge(p.most)
	case err != nil && err != io.EOF:
		return n, p.archive.readError(err)
	}
	return n, err
}

func (p *part) close() { _ = p.r.Close() } // it was only read

// readError tells a damaged archive from a source that can't be read.
func (a *archive) readError(err error) error {
	if a.source.failed {
		return fmt.Errorf("read workbook: %w", err)
	}
	return damaged("a part of it can't be unpacked")
}

// compoundFile is how files of older Office programs begin, and encrypted new ones.
const compoundFile = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"

// IsWorkbook reports whether a file that begins so is for this package: a ZIP
// archive, or a file of an older Office program.
func IsWorkbook(begin []byte) bool {
	return bytes.HasPrefix(begin, []byte("PK\x03\x04")) || bytes.HasPrefix(begin, []byte("PK\x05\x06")) || bytes.HasPrefix(begin, []byte(compoundFile))
}

func protected() *Error {
	return &Error{Protected, "The workbook is protected with a password.",
		"Open it, remove the password (in Excel: File > Info > Protect Workbook > Encrypt with Password, and leave it empty), save it and upload it again"}
}

// compound says what a file of an older Office program is: its directory has the
// names of its streams.
func compound(r io.ReaderAt) (*Error, error) {
	const headerBytes, entryBytes, entries = 512, 128, 64
	header := make([]byte, headerBytes)
	if _, err := r.ReadAt(header, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read workbook: %w", err)
	}
	shift := uint(header[30]) | uint(header[31])<<8
	sector := int64(header[48]) | int64(header[49])<<8 | int64(header[50])<<16 | int64(header[51])<<24
	directory := make([]byte, entryBytes*entries)
	if shift != 9 && shift != 12 {
		shift = 9
	}
	n, err := r.ReadAt(directory, (sector+1)<<shift)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read workbook: %w", err)
	}
	directory = directory[:n]
	has := func(name string) bool {
		var wide []byte
		for _, c := range []byte(name) {
			wide = append(wide, c, 0)
		}
		return bytes.Contains(directory, append(wide, 0, 0))
	}
	switch {
	case has("EncryptedPackage"):
		return protected(), nil
	case has("Workbook"), has("Book"):
		return foreign("This is an old Excel workbook (.xls), which can't be read.", fixSave), nil
	case has("WordDocument"):
		return foreign("This is a Word document (.doc), not a list.", fixExport), nil
	}
	return foreign("This is an old Excel workbook (.xls) or another Office document, which can't be read.", fixSave), nil
}
