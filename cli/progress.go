package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"rollcall/cli/termtext"
	"rollcall/client"
	"rollcall/roster"
)

const (
	redrawEvery = 125 * time.Millisecond // on a terminal
	lineEvery   = 5 * time.Second        // elsewhere
)

// terminalWidth returns the columns of the terminal behind w, 0 if it is none.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// progress shows the progress of an import: one line with a bar that is redrawn
// on a terminal, a plain line every few seconds elsewhere. Its methods are safe
// for concurrent use.
type progress struct {
	out   io.Writer
	width func() int
	done  chan struct{}
	gone  sync.WaitGroup
	once  sync.Once

	mu    sync.Mutex
	stage stage
	drawn string // currently on the terminal; "" for nothing
	told  bool   // the user was told that the server is unavailable
}

// startProgress shows progress on w until stop.
func startProgress(w io.Writer) *progress {
	return newProgress(w, func() int { return terminalWidth(w) })
}

// newProgress is startProgress for a terminal of this width, 0 for none.
func newProgress(w io.Writer, width func() int) *progress {
	p := &progress{out: w, width: width, done: make(chan struct{})}
	every := lineEvery
	if width() > 0 {
		every = redrawEvery
	}
	p.gone.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-p.done:
				return
			case now := <-ticker.C:
				p.draw(now)
			}
		}
	})
	return p
}

// stop ends the display and clears the line. It may be called again.
func (p *progress) stop() {
	p.once.Do(func() {
		close(p.done)
		p.gone.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.wipe()
	})
}

func (p *progress) draw(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage.phase == notBegun {
		return
	}
	width := p.width()
	if width <= 0 {
		fmt.Fprintln(p.out, p.stage.line(now))
		return
	}
	if line := p.stage.draw(now, width); line != p.drawn {
		fmt.Fprintf(p.out, "\r%s\x1b[K", line)
		p.drawn = line
	}
}

// wipe clears the line on the terminal.
func (p *progress) wipe() {
	if p.drawn != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = ""
	}
}

// note writes a permanent line.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(text)
}

func (p *progress) print(text string) {
	p.wipe()
	fmt.Fprintln(p.out, termtext.Sanitize(text))
}

// sent shows how much of the file was uploaded.
func (p *progress) sent(bytes, size int64) { p.move(sending, bytes, size) }

// follow shows the progress of an import.
func (p *progress) follow(i *client.Import) {
	p.responds()
	total := int64(unknown)
	if i.Total != nil {
		total = *i.Total
	}
	switch i.Status {
	case roster.Queued:
		p.move(waiting, 0, unknown)
	case roster.Checking:
		p.move(checking, i.Checked, total)
	case roster.Importing:
		p.move(importing, i.Processed, total)
	}
}

// retrying explains once, until the server responds, why requests are retried.
func (p *progress) retrying(cause error, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage.awayUntil = time.Now().Add(wait)
	if p.told {
		return
	}
	p.told = true
	if problem, ok := errors.AsType[*client.Problem](cause); ok {
		p.print(fmt.Sprintf("The server answered %d %s. Retrying.", problem.Status, http.StatusText(problem.Status)))
		return
	}
	p.print(capped(cause.Error()) + ". Retrying.")
}

func (p *progress) responds() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = false
}

func (p *progress) move(to phase, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage.phase != to {
		p.stage = stage{phase: to, since: time.Now(), from: done}
	}
	p.stage.done, p.stage.total, p.stage.awayUntil = done, total, time.Time{}
}
