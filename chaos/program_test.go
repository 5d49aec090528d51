//go:build unix

package chaos_test

import (
	"path/filepath"

	"rollcall/internal/programtest"
)

// startFrom starts an api or a worker out of a directory of programs, with more
// environment, and returns when it is ready for work.
func (h *house) startFrom(dir, name string, env ...string) *programtest.Program {
	h.Helper()
	p, url := programtest.StartReady(h.T, filepath.Join(dir, name), append(h.env[:len(h.env):len(h.env)], env...))
	if url != "" {
		h.url = url
	}
	h.programs = append(h.programs, p)
	return p
}

func (h *house) startAPI() *programtest.Program { h.Helper(); return h.startFrom(binaries, "api") }

func (h *house) startWorker() *programtest.Program {
	h.Helper()
	return h.startFrom(binaries, "worker")
}
