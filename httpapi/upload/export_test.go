package upload

import (
	"errors"
	"io"
	"net/http"
	"time"

	"rollcall/roster"
)

// MaxFilename bounds a file's name, in bytes.
const MaxFilename = maxFilename

// ReadForm reads a whole body, as Receive does without a database.
func ReadForm(w http.ResponseWriter, r *http.Request, limit int64, rights Rights) (file []byte, filename string, o roster.Options, err error) {
	f, err := openForm(w, r, limit, pace{time.Minute, 1 << 20}, rights)
	if err != nil {
		return nil, "", o, err
	}
	if _, err := f.readFirstChunk(); err != nil {
		return nil, "", o, err
	}
	for {
		chunk, err := f.next()
		file = append(file, chunk...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", o, err
		}
	}
	filename, o, err = f.finish()
	return file, filename, o, err
}
