//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
)

// skipFailer passes lines on to out, and changes test events that report a
// skipped test to failures. It buffers at most one line.
type skipFailer struct {
	out    io.Writer
	failed bool // a test was skipped
	line   []byte
}

func (s *skipFailer) Write(p []byte) (int, error) {
	s.line = append(s.line, p...)
	for {
		line, rest, found := bytes.Cut(s.line, []byte("\n"))
		if !found {
			return len(p), nil
		}
		if _, err := s.out.Write(append(s.checked(line), '\n')); err != nil {
			return 0, err
		}
		s.line = rest
	}
}

// close writes what is left: a last line without a line end.
func (s *skipFailer) close() {
	if len(s.line) > 0 {
		s.out.Write(s.checked(s.line))
		s.line = nil
	}
}

// checked returns the line to write instead of line. A package without tests is
// skipped too, but names no test.
func (s *skipFailer) checked(line []byte) []byte {
	if !bytes.Contains(line, []byte(`"Action":"skip"`)) {
		return bytes.Clone(line)
	}
	var event map[string]any
	if err := json.Unmarshal(line, &event); err != nil || event["Action"] != "skip" || event["Test"] == nil {
		return bytes.Clone(line)
	}
	s.failed = true
	event["Action"] = "fail"
	changed, err := json.Marshal(event)
	if err != nil {
		return bytes.Clone(line)
	}
	return changed
}
