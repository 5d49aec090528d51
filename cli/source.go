package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/cli/termtext"
)

// maxSpool bounds how much is read from a pipe, in bytes: the largest file any
// server can be configured to accept.
const maxSpool = 64 << 30

// source is a file to import. It refers to the opened file, even if that is
// renamed or replaced.
type source struct {
	name string // without a directory
	size int64  // bytes
	file *os.File
	temp bool // a copy of ours, to be removed
}

// openSource opens the file at path. Standard input (-) and other sources
// without a size are copied to a temporary file that only this user can read,
// so that they can be sent again after a lost connection, under the same key.
func openSource(path string, stdin io.Reader) (*source, error) {
	if path == "-" {
		return spool("stdin.csv", stdin)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, readable(err, path)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		file.Close()
		return nil, readable(err, path)
	case info.IsDir():
		file.Close()
		return nil, fmt.Errorf("%s is a directory", termtext.Sanitize(path))
	case !info.Mode().IsRegular():
		defer file.Close()
		return spool(filepath.Base(path), file)
	}
	return &source{name: filepath.Base(path), size: info.Size(), file: file}, nil
}

// readable turns an error from opening a file into plain words.
func readable(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("file not found: %s", termtext.Sanitize(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to read %s", termtext.Sanitize(path))
	default:
		return fmt.Errorf("open file: %w", err)
	}
}

func spool(name string, from io.Reader) (*source, error) {
	file, err := os.CreateTemp("", "rollcall-*.csv") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	s := &source{name: name, file: file, temp: true}
	// Unlink it at once where the system allows it, so that nothing stays
	// behind even if this process is killed. Elsewhere Close removes it.
	_ = os.Remove(file.Name())
	s.size, err = io.Copy(file, io.LimitReader(from, maxSpool+1))
	if err == nil && s.size > maxSpool {
		err = fmt.Errorf("larger than %d bytes", int64(maxSpool))
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("read %s: %w", termtext.Sanitize(name), err)
	}
	return s, nil
}

// open returns the content from its beginning.
func (s *source) open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.file, 0, s.size)), nil
}

// is reports whether path is this file.
func (s *source) is(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := s.file.Stat()
	return err == nil && os.SameFile(here, there)
}

// Close closes the file, and removes it if it is a copy.
func (s *source) Close() error {
	err := s.file.Close()
	if s.temp {
		_ = os.Remove(s.file.Name())
	}
	return err
}
