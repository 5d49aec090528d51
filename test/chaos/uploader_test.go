//go:build unix

package chaos_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// uploader posts one file after another while faults happen, like a careful
// client: each with an Idempotency-Key, retrying with the same one until the
// file is accepted. It checks every response against the documentation.
type uploader struct {
	h     *testEnv
	files []string
	keys  int           // number of the first file, in its Idempotency-Key
	pace  time.Duration // between two posts of one client
	ids   []string      // of the imports, in the order of the files; "" if not yet accepted

	refused  atomic.Int64 // answers with 503 and Retry-After
	cut      atomic.Int64 // broken connections
	slowest  time.Duration
	mayBreak bool // connections to the API may break, because it is killed too
}

// post posts all the files, atOnce at a time, until each is accepted.
func (p *uploader) post(atOnce int) {
	p.ids = make([]string, len(p.files))
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for k := int(next.Add(1)) - 1; k < len(p.files); k = int(next.Add(1)) - 1 {
				for !p.h.Failed() {
					began := time.Now()
					id := p.once(k)
					mu.Lock()
					p.slowest = max(p.slowest, time.Since(began))
					p.ids[k] = id
					mu.Unlock()
					if id != "" {
						time.Sleep(p.pace)
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// once returns the id of the import, "" if the file was not accepted.
func (p *uploader) once(k int) string {
	a, err := p.h.tryPost(p.files[k], []string{"Idempotency-Key", fmt.Sprintf("file-%d", p.keys+k)})
	switch {
	case err != nil:
		if !p.mayBreak {
			p.h.Errorf("the API's connection broke: %v", err)
		}
		p.cut.Add(1)
		return ""
	case a.status == 202 || a.status == 200:
		return a.imported().ID
	case a.status == 409: // the database still considers the previous attempt in progress
		return ""
	case a.status == 503 || a.status == 507:
		if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 {
			p.h.Errorf("a 503 without a usable Retry-After: %v", a.header)
		}
		p.refused.Add(1)
		return ""
	}
	p.h.Errorf("post answered with %d\n%s", a.status, a.body)
	return ""
}

// noneDoubled fails the test unless there are exactly as many imports as files.
func (h *testEnv) noneDoubled(p *uploader) {
	h.Helper()
	if n := one[int](h, `SELECT count(*) FROM imports`); n != len(p.files) {
		h.Errorf("%d imports of %d files", n, len(p.files))
	}
}
