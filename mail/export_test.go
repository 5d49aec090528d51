package mail

import "bytes"

// Envelope is what goes on the wire.
type Envelope struct {
	From, To string
	Content  []byte
}

// Wire is a message as Send would send it; ok is false if it would not.
func Wire(m Message) (Envelope, bool) {
	e, failure := m.seal()
	if failure != nil {
		return Envelope{}, false
	}
	var content bytes.Buffer
	if err := m.compose(&content, e.from, e.to); err != nil {
		return Envelope{}, false
	}
	return Envelope{e.from, e.to, content.Bytes()}, true
}
