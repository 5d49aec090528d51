package e2e_test

import (
	"bytes"
	"strings"
	"sync"
)

// watched keeps what is written to it, and reports when it contains the wanted
// text.
type watched struct {
	wanted string
	found  chan struct{} // closed then

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if !w.told && strings.Contains(w.text.String(), w.wanted) {
		w.told = true
		close(w.found)
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
