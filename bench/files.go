//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// fileOf says which made-up file: see examples/gen.
type fileOf struct {
	rows   int
	errors float64 // percent of the rows to be refused
	seed   int     // 0: the usual one
}

// file returns the path of a file, made when it is first asked for.
func (l *lab) file(ctx context.Context, want fileOf) (path string, err error) {
	if path, there := l.files[want]; there {
		return path, nil
	}
	path = filepath.Join(l.dir, fmt.Sprintf("%d-%g-%d.csv", want.rows, want.errors, want.seed))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	gen := exec.CommandContext(ctx, l.program("gen"), "-rows", fmt.Sprint(want.rows), "-errors", fmt.Sprint(want.errors), "-seed", fmt.Sprint(max(1, want.seed)))
	gen.Stdout, gen.Stderr = f, l.out
	if err := gen.Run(); err != nil {
		return "", fmt.Errorf("make a file of %d rows: %w", want.rows, err)
	}
	l.files[want] = path
	return path, f.Close()
}
