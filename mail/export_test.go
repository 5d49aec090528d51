package mail

// Envelope is what goes on the wire.
type Envelope struct {
	From, To string
	Content  []byte
}

// Wire is a message as Send would send it; ok is false if it would not.
func Wire(m Message) (Envelope, bool) {
	e, failure := m.seal()
	return Envelope{e.from, e.to, e.content}, failure == nil
}
