package client

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"sync"
)

// ErrFileChanged is returned by Upload when the file turns out shorter than its
// Size.
var ErrFileChanged = errors.New("the file became shorter while it was being uploaded")

// form is a multipart/form-data body (RFC 7578) around a file that is not held
// in memory. The options come before the file.
type form struct {
	io.Reader
	contentType string
	length      int64 // bytes; -1: not known
}

func newForm(u Upload, file io.Reader) (*form, error) {
	fields, err := u.Options.fields()
	if err != nil {
		return nil, err
	}
	var head, tail bytes.Buffer
	frame := &head
	w := multipart.NewWriter(writerFunc(func(p []byte) (int, error) { return frame.Write(p) }))
	for _, field := range fields {
		if err := w.WriteField(field.name, field.value); err != nil {
			return nil, err
		}
	}
	if _, err := w.CreateFormFile("file", u.Filename); err != nil {
		return nil, err
	}
	frame = &tail
	if err := w.Close(); err != nil {
		return nil, err
	}
	length := int64(-1)
	if u.Size >= 0 {
		length = int64(head.Len()) + u.Size + int64(tail.Len())
	}
	return &form{io.MultiReader(&head, file, &tail), w.FormDataContentType(), length}, nil
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// outgoing is the content of a file being sent: at most the announced size, and
// an error if it is shorter.
//
// A server may respond before it has read everything, and net/http may keep
// reading for a moment after that. Close stops further reads of the content and
// calls of moved.
type outgoing struct {
	size  int64                        // bytes; -1: not known
	moved func(sent int64, ended bool) // called after each read

	mu      sync.Mutex
	content io.ReadCloser // nil: closed
	sent    int64
	err     error // of content
}

func (f *outgoing) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content == nil {
		return 0, io.ErrClosedPipe
	}
	if f.size >= 0 && int64(len(p)) > f.size-f.sent {
		if p = p[:f.size-f.sent]; len(p) == 0 {
			f.moved(f.sent, true) // bytes appended in the meantime were not announced
			return 0, io.EOF
		}
	}
	n, err := f.content.Read(p)
	f.sent += int64(n)
	if err == io.EOF && f.sent < f.size {
		err = ErrFileChanged
	}
	if err != nil && err != io.EOF {
		f.err = err
	}
	f.moved(f.sent, err == io.EOF)
	return n, err
}

// Close closes the content. After that, nothing is read and moved is not
// called.
func (f *outgoing) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content == nil {
		return nil
	}
	content := f.content
	f.content = nil
	return content.Close()
}

// fault returns the error from reading the content, nil if there was none.
func (f *outgoing) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
