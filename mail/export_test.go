package mail

// Envelope is what is sent to the server.
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
	return Envelope{e.from, e.to, e.content}, true
}
