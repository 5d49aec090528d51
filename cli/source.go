package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/cli/terminal"
)

// maxSpool is the most that is taken from a pipe, in bytes: the largest file
// any server can be set to accept.
const maxSpool = 64 << 30

// source is a file to import. It stays the file that was opened, even if
// another takes its name.
type source struct {
	name string // without a directory
	size int64  // bytes
	file *os.File
	temp bool // ours, to be removed
}

// openSource opens the file at path. Standard input (-) and whatever else has
// no size is copied to a temporary file that only this user can read, so that
// it can be sent a second time after a lost connection, under the same key.
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
		return nil, fmt.Errorf("%s is a directory", terminal.Visible(path))
	case !info.Mode().IsRegular():
		defer file.Close()
		return spool(filepath.Base(path), file)
	}
	return &source{name: filepath.Base(path), size: info.Size(), file: file}, nil
}

// readable says that a file cannot be opened as a person would.
func readable(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", terminal.Visible(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read by this user", terminal.Visible(path))
	default:
		return fmt.Errorf("open file: %w", err)
	}
}

func spool(name string, from io.Reader) (*source, error) {
	file, err := os.CreateTemp("", "rollcall-*.csv") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make temporary file: %w", err)
	}
	s := &source{name: name, file: file, temp: true}
	// Nameless at once where the system allows it: nothing stays behind even
	// if this process is killed. Close tries again elsewhere.
	_ = os.Remove(file.Name())
	s.size, err = io.Copy(file, io.LimitReader(from, maxSpool+1))
	if err == nil && s.size > maxSpool {
		err = fmt.Errorf("it has more than %d bytes", int64(maxSpool))
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("read %s: %w", terminal.Visible(name), err)
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
