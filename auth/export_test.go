package auth

// Occupy takes every place of the hasher until release is called, so that tests
// find it busy without depending on how long a hash takes.
func (h *Hasher) Occupy() (release func()) {
	for range cap(h.running) {
		h.running <- struct{}{}
	}
	return func() {
		for range cap(h.running) {
			<-h.running
		}
	}
}
