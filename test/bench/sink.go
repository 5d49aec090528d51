//go:build unix

package main

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// sink is a mail server that accepts everything, keeps nothing and does as
// little as possible, so that it is not what is measured.
type sink struct {
	listener net.Listener
	taken    atomic.Int64 // mails so far
	wait     atomic.Int64 // before a mail is accepted, in nanoseconds

	mu   sync.Mutex
	open map[net.Conn]bool
	wg   sync.WaitGroup
}

func startSink() (*sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: listener, open: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[conn] = true
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

func (s *sink) address() string { return s.listener.Addr().String() }

func (s *sink) stop() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// serve implements as much SMTP as a correct client needs. Answers to commands
// that arrived together are sent together.
func (s *sink) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, conn)
	}()
	in, out := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	answer := func(line string) bool {
		out.WriteString(line + "\r\n") // a bufio.Writer keeps its first error and Flush returns it
		return in.Buffered() > 0 || out.Flush() == nil
	}
	for ok := answer("220 sink"); ok; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		verb := string(bytes.ToUpper(line[:min(4, len(line))]))
		switch verb {
		case "EHLO":
			ok = answer("250-sink\r\n250-PIPELINING\r\n250 8BITMIME")
		case "DATA":
			ok = answer("354 go on") && s.take(in) && answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return
		default:
			ok = answer("250 ok")
		}
	}
}

// take reads a mail up to its final dot.
func (s *sink) take(in *bufio.Reader) bool {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false
		}
		if len(line) <= 3 && line[0] == '.' && bytes.Equal(bytes.TrimRight(line, "\r\n"), []byte(".")) {
			time.Sleep(time.Duration(s.wait.Load()))
			s.taken.Add(1)
			return true
		}
	}
}
