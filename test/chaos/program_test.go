//go:build unix

package chaos_test

import (
	"path/filepath"

	"rollcall/test/programtest"
)

// startFrom starts an api or a worker from a directory of programs, with
// additional environment, and returns when it is ready.
func (h *testEnv) startFrom(dir, name string, env ...string) *programtest.Program {
	h.Helper()
	p, url := programtest.StartReady(h.T, filepath.Join(dir, name), append(h.env[:len(h.env):len(h.env)], env...))
	if url != "" {
		h.url = url
	}
	h.programs = append(h.programs, p)
	return p
}

func (h *testEnv) startAPI() *programtest.Program { h.Helper(); return h.startFrom(binaries, "api") }

func (h *testEnv) startWorker() *programtest.Program {
	h.Helper()
	return h.startFrom(binaries, "worker")
}
