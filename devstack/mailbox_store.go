package devstack

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxMailHead bounds the line of JSON before each mail, in bytes.
const maxMailHead = 64 << 10

// segmentsKept is the number of files the mails are spread over: room is made
// by removing the oldest file.
const segmentsKept = 16

const segmentExt = ".mails"

// mailHead stands before each mail in a file, as one line of JSON.
type mailHead struct {
	ID         uint64    `json:"id"` // 1, 2, 3, … in the order of arrival, across restarts
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"` // envelope sender
	To         []string  `json:"to"`   // envelope recipients
	Size       int       `json:"size"` // bytes of the mail that follows
}

// mailStore keeps mails in append-only files called segments. A record is a
// mailHead, the mail as received, and a line feed. A record cut off by a crash
// is dropped at the next start. Nothing is synced to disk: a killed process
// loses no mail, a power cut may.
type mailStore struct {
	dir      string
	maxMails int
	maxBytes int64

	mu       sync.Mutex
	closed   bool
	segments []*mailSegment // oldest first; the last one is written to
	places   []mailPlace    // of the mails kept, by ascending id
	nextID   uint64
}

type mailSegment struct {
	file  *os.File
	size  int64
	mails int
}

// mailPlace is where a record starts, and its length.
type mailPlace struct {
	id      uint64
	segment *mailSegment
	offset  int64
	length  int
}

var errMailboxStopped = errors.New("the mailbox has been stopped")

func openMailStore(dir string, maxMails int, maxBytes int64) (_ *mailStore, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &mailStore{dir: dir, maxMails: maxMails, maxBytes: maxBytes, nextID: 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	entries, err := os.ReadDir(dir) // by name, and so by number
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != segmentExt {
			continue
		}
		if err := s.load(filepath.Join(dir, entry.Name())); err != nil {
			return nil, fmt.Errorf("read captured mails: %w", err)
		}
	}
	if len(s.segments) == 0 {
		return s, s.addSegment()
	}
	return s, s.makeRoom()
}

// load indexes one segment and cuts off an unfinished record at its end.
func (s *mailStore) load(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	segment := &mailSegment{file: file}
	s.segments = append(s.segments, segment)
	in := bufio.NewReaderSize(file, maxMailHead)
	for {
		head, length, err := readRecord(in)
		if err == nil && head.ID < s.nextID {
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return file.Truncate(segment.size)
		}
		if err != nil {
			return err
		}
		s.index(segment, head.ID, length)
	}
}

// readRecord reads past one record. It returns io.EOF at the end of the file
// and io.ErrUnexpectedEOF for what is not a whole record.
func readRecord(in *bufio.Reader) (head mailHead, length int, err error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return head, 0, io.EOF
	}
	if err != nil || json.Unmarshal(line, &head) != nil || head.Size < 0 || head.Size > mailboxMailBytes {
		return head, 0, io.ErrUnexpectedEOF
	}
	length = len(line) + head.Size + 1
	if _, err := in.Discard(head.Size); err != nil {
		return head, 0, io.ErrUnexpectedEOF
	}
	if end, err := in.ReadByte(); err != nil || end != '\n' {
		return head, 0, io.ErrUnexpectedEOF
	}
	return head, length, nil
}

func (s *mailStore) append(head mailHead, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errMailboxStopped
	}
	head.ID, head.Size = s.nextID, len(raw)
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if len(line) >= maxMailHead {
		return errors.New("too many recipients")
	}
	record := slices.Concat(line, []byte{'\n'}, raw, []byte{'\n'})

	segment := s.segments[len(s.segments)-1]
	if segment.mails >= s.maxMails/segmentsKept || segment.size >= s.maxBytes/segmentsKept {
		if err := s.addSegment(); err != nil {
			return err
		}
		segment = s.segments[len(s.segments)-1]
	}
	if _, err := segment.file.Write(record); err != nil {
		// Take back what was written of it, so that the file stays readable.
		return errors.Join(err, segment.file.Truncate(segment.size))
	}
	s.index(segment, head.ID, len(record))
	return s.makeRoom()
}

func (s *mailStore) index(segment *mailSegment, id uint64, length int) {
	s.places = append(s.places, mailPlace{id, segment, segment.size, length})
	s.nextID = id + 1
	segment.size += int64(length)
	segment.mails++
}

func (s *mailStore) addSegment() error {
	name := filepath.Join(s.dir, fmt.Sprintf("%020d%s", s.nextID, segmentExt))
	file, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.segments = append(s.segments, &mailSegment{file: file})
	return nil
}

// makeRoom forgets the oldest mails over the limits, and removes the files that
// hold nothing else.
func (s *mailStore) makeRoom() error {
	var size int64
	for _, segment := range s.segments {
		size += segment.size
	}
	for len(s.segments) > 1 {
		oldest := s.segments[0]
		if size <= s.maxBytes && len(s.places)-oldest.mails < s.maxMails {
			break
		}
		size -= oldest.size
		s.segments = s.segments[1:]
		s.places = s.places[oldest.mails:]
		if err := errors.Join(oldest.file.Close(), removeFile(oldest.file.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// kept are the mails shown: those over the limit wait in the oldest segment for
// the rest of it to go.
func (s *mailStore) kept() []mailPlace {
	return s.places[max(0, len(s.places)-s.maxMails):]
}

func (s *mailStore) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept())
}

// newestFirst returns the ids kept.
func (s *mailStore) newestFirst() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept()
	ids := make([]uint64, 0, len(kept))
	for _, place := range slices.Backward(kept) {
		ids = append(ids, place.id)
	}
	return ids
}

func (s *mailStore) read(id uint64) (head mailHead, raw []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return head, nil, errMailboxStopped
	}
	kept := s.kept()
	at, found := slices.BinarySearchFunc(kept, id, func(place mailPlace, id uint64) int {
		return cmp.Compare(place.id, id)
	})
	if !found {
		return head, nil, ErrNoMail
	}
	place := kept[at]
	record := make([]byte, place.length)
	if _, err := place.segment.file.ReadAt(record, place.offset); err != nil {
		return head, nil, fmt.Errorf("read captured mail: %w", err)
	}
	end := bytes.IndexByte(record, '\n')
	if err := json.Unmarshal(record[:end], &head); err != nil {
		return head, nil, fmt.Errorf("read captured mail: %w", err)
	}
	return head, record[end+1 : len(record)-1], nil
}

func (s *mailStore) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, segment := range s.segments {
		errs = append(errs, segment.file.Close())
	}
	s.segments, s.places = nil, nil
	return errors.Join(errs...)
}

func parseMailID(id string) (uint64, error) {
	number, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0, ErrNoMail
	}
	return number, nil
}
