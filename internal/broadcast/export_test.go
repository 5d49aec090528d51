package broadcast

// Topics returns how many imports are being followed.
func (b *Broadcaster) Topics() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.topics)
}
