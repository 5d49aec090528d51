package devstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mailExt ends the name of a file that holds a mail.
const mailExt = ".json"

// receivedMail is a mail as it arrived, and the JSON of its file.
type receivedMail struct {
	ReceivedAt time.Time // UTC
	From       string    // envelope sender
	To         []string  // envelope recipients
	Raw        []byte
}

// mailStore keeps the newest mails in a directory, a file each, named after its
// ID. IDs count up from 1, across restarts. Nothing is synced to disk: a killed
// process loses no accepted mail, a power failure may.
type mailStore struct {
	dir      string
	maxMails int
	maxBytes int64

	mu      sync.Mutex
	stopped bool
	kept    []keptMail // the newest last
	bytes   int64      // of all files
}

type keptMail struct {
	id   uint64
	size int64 // of the file
}

var errMailboxStopped = errors.New("the mailbox has been stopped")

func openMailStore(dir string, maxMails int, maxBytes int64) (*mailStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // by name, and so by ID
	if err != nil {
		return nil, err
	}
	s := &mailStore{dir: dir, maxMails: maxMails, maxBytes: maxBytes}
	for _, entry := range entries {
		id, err := strconv.ParseUint(strings.TrimSuffix(entry.Name(), mailExt), 10, 64)
		if err != nil || filepath.Ext(entry.Name()) != mailExt {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		s.kept = append(s.kept, keptMail{id, info.Size()})
		s.bytes += info.Size()
	}
	return s, s.trim()
}

func (s *mailStore) path(id uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", id, mailExt))
}

// trim removes the oldest mails beyond the limits, but never the newest one.
func (s *mailStore) trim() error {
	for len(s.kept) > s.maxMails || len(s.kept) > 1 && s.bytes > s.maxBytes {
		oldest := s.kept[0]
		if err := os.Remove(s.path(oldest.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.kept, s.bytes = s.kept[1:], s.bytes-oldest.size
	}
	return nil
}

func (s *mailStore) append(m receivedMail) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errMailboxStopped
	}
	// Renamed once it is complete, so that no mail is read that was cut short.
	id := uint64(1)
	if len(s.kept) > 0 {
		id = s.kept[len(s.kept)-1].id + 1
	}
	path := s.path(id)
	if err := os.WriteFile(path+".part", content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	s.kept = append(s.kept, keptMail{id, int64(len(content))})
	s.bytes += int64(len(content))
	return s.trim()
}

// newestFirst returns the IDs kept.
func (s *mailStore) newestFirst() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	ids := make([]uint64, 0, len(s.kept))
	for _, m := range slices.Backward(s.kept) {
		ids = append(ids, m.id)
	}
	return ids
}

// read returns a mail, or [ErrNoMail] if it is not kept.
func (s *mailStore) read(id uint64) (m receivedMail, err error) {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return m, ErrNoMail
	}
	content, err := os.ReadFile(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return m, ErrNoMail
	}
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read captured mail: %w", err)
	}
	return m, nil
}

func (s *mailStore) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}
