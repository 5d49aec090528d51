package smtptest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
)

// errEnd ends a session on request of the script.
var errEnd = errors.New("end of session")

type session struct {
	server    *Server
	number    int
	conn      net.Conn
	reader    *bufio.Reader
	encrypted bool
	refused   bool // one connection too many
	from, to  string
}

func (s *session) run() {
	s.encrypted = s.server.config.Implicit
	if s.refused {
		_ = s.answer("CONNECT", "", s.server.config.Refusal)
		return
	}
	if s.answer("CONNECT", "", "220 localhost ESMTP") != nil {
		return
	}
	for {
		line, err := s.readLine()
		if err != nil {
			return
		}
		if err := s.command(line); err != nil {
			return
		}
	}
}

func (s *session) readLine() (string, error) {
	line, err := s.reader.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func (s *session) command(line string) error {
	verb, argument, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "EHLO":
		return s.answer(verb, line, s.server.greeting(s.encrypted))
	case "STARTTLS":
		return s.startTLS(line)
	case "AUTH":
		return s.auth(line, argument)
	case "MAIL":
		s.from, s.to = "", ""
		return s.path(verb, line, "250 2.1.0 Sender taken", &s.from)
	case "RCPT":
		if s.from == "" {
			return s.answer(verb, line, "503 5.5.1 MAIL first")
		}
		return s.path(verb, line, "250 2.1.5 Recipient taken", &s.to)
	case "DATA":
		return s.data(line)
	case "QUIT":
		_ = s.answer(verb, line, "221 2.0.0 Goodbye")
		return errEnd
	case "RSET":
		s.from, s.to = "", ""
		return s.answer(verb, line, "250 2.0.0 Forgotten")
	default:
		return s.answer(verb, line, "250 2.0.0 Fine")
	}
}

// path answers MAIL or RCPT and keeps the address of an accepted one.
func (s *session) path(verb, line, proposed string, into *string) error {
	reply, err := s.decide(verb, line, proposed)
	if err != nil {
		return err
	}
	if strings.HasPrefix(reply, "2") {
		_, rest, _ := strings.Cut(line, "<")
		*into, _, _ = strings.Cut(rest, ">")
	}
	return s.write(reply)
}

func (s *session) startTLS(line string) error {
	reply, err := s.decide("STARTTLS", line, "220 2.0.0 Go ahead")
	if err != nil {
		return err
	}
	if err := s.write(reply); err != nil || !strings.HasPrefix(reply, "220") {
		return err
	}
	secure := tls.Server(s.conn, s.server.config.TLS)
	if err := secure.Handshake(); err != nil {
		return err
	}
	s.conn, s.reader, s.encrypted = secure, bufio.NewReader(secure), true
	return nil
}

func (s *session) auth(line, argument string) error {
	mechanism, initial, _ := strings.Cut(argument, " ")
	var user, password string
	switch mechanism {
	case "PLAIN":
		fields := strings.Split(decode(initial), "\x00")
		if len(fields) == 3 {
			user, password = fields[1], fields[2]
		}
	case "XOAUTH2":
		user, token, _ := strings.Cut(strings.TrimPrefix(decode(initial), "user="), "\x01auth=Bearer ")
		if s.server.config.Bearer(user, strings.TrimSuffix(token, "\x01\x01")) {
			return s.answer("AUTH", line, "235 2.7.0 Welcome")
		}
		if err := s.write("334 " + base64.StdEncoding.EncodeToString([]byte(`{"status":"400"}`))); err != nil {
			return err
		}
		if _, err := s.readLine(); err != nil {
			return err
		}
		return s.answer("AUTH", line, "535 5.7.3 Authentication unsuccessful")
	case "LOGIN":
		for _, step := range []struct {
			prompt string
			into   *string
		}{{"Username:", &user}, {"Password:", &password}} {
			if err := s.write("334 " + base64.StdEncoding.EncodeToString([]byte(step.prompt))); err != nil {
				return err
			}
			response, err := s.readLine()
			if err != nil {
				return err
			}
			*step.into = decode(response)
		}
	}
	if user == User && password == Password {
		return s.answer("AUTH", line, "235 2.7.0 Welcome")
	}
	return s.answer("AUTH", line, "535 5.7.8 Wrong user name or password")
}

func decode(encoded string) string {
	decoded, _ := base64.StdEncoding.DecodeString(encoded)
	return string(decoded)
}

func (s *session) data(line string) error {
	proposed := "354 Go ahead"
	if s.to == "" {
		proposed = "554 5.5.1 No valid recipients"
	}
	reply, err := s.decide("DATA", line, proposed)
	if err != nil {
		return err
	}
	if err := s.write(reply); err != nil || !strings.HasPrefix(reply, "354") {
		return err
	}
	content, err := s.readContent()
	if err != nil {
		return err
	}
	proposed = "250 2.0.0 Taken"
	if s.to == "" {
		proposed = "554 5.5.1 No valid recipients"
	}
	e := s.ask(".", ".", proposed)
	if strings.HasPrefix(e.Reply, "2") {
		// Accepted even if the connection then ends without an answer: that is
		// the case in which a client cannot know the outcome.
		s.server.take(Mail{Connection: s.number, From: s.from, To: s.to, Data: content})
	}
	if err := s.obey(e); err != nil {
		return err
	}
	return s.write(e.Reply)
}

func (s *session) readContent() (string, error) {
	var content strings.Builder
	for {
		line, err := s.reader.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if string(line) == ".\r\n" {
			return content.String(), nil
		}
		if line[0] == '.' {
			line = line[1:]
		}
		if !s.server.config.Discard {
			content.Write(line)
		}
	}
}

// answer decides on an answer and writes it.
func (s *session) answer(verb, line, proposed string) error {
	reply, err := s.decide(verb, line, proposed)
	if err != nil {
		return err
	}
	return s.write(reply)
}

// decide returns the answer after calling the script, or an error if the
// connection is to end without an answer.
func (s *session) decide(verb, line, proposed string) (string, error) {
	e := s.ask(verb, line, proposed)
	return e.Reply, s.obey(e)
}

func (s *session) ask(verb, line, proposed string) Event {
	e := Event{Connection: s.number, Verb: verb, Line: line, Reply: proposed}
	s.server.ask(&e)
	return e
}

// obey does what the script requests before, or instead of, an answer.
func (s *session) obey(e Event) error {
	if e.Hold != nil {
		select {
		case <-e.Hold:
		case <-s.server.done:
			return errEnd
		}
	}
	if e.Silent {
		_, _ = io.Copy(io.Discard, s.reader) // until the client gives up
		return errEnd
	}
	if e.Drop {
		if e.After {
			_ = s.write(e.Reply)
		}
		return errEnd
	}
	return nil
}

// write sends a reply; a line feed in it starts another line.
func (s *session) write(reply string) error {
	code, text, _ := strings.Cut(reply, " ")
	lines := strings.Split(text, "\n")
	var out strings.Builder
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		out.WriteString(code + separator + line + "\r\n")
	}
	_, err := io.WriteString(s.conn, out.String())
	return err
}
