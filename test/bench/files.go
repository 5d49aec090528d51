//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fileOf describes a generated file: see examples/gen.
type fileOf struct {
	rows   int
	errors float64 // percent of invalid rows
	domain string  // of the addresses; "": example.com
}

// file returns the path of a file, which is generated on first use.
func (l *env) file(ctx context.Context, want fileOf) (path string, err error) {
	if path, there := l.files[want]; there {
		return path, nil
	}
	gen := exec.CommandContext(ctx, l.program("gen"), "-rows", fmt.Sprint(want.rows), "-errors", fmt.Sprint(want.errors))
	gen.Stderr = l.out
	lines, err := gen.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := gen.Start(); err != nil {
		return "", err
	}
	path, err = l.write(func(out *bufio.Writer) error {
		in := bufio.NewScanner(lines)
		for in.Scan() {
			line := in.Text()
			if want.domain != "" {
				line = strings.Replace(line, "@example.com", "@"+want.domain, 1)
			}
			out.WriteString(line + "\n")
		}
		return in.Err()
	})
	if waited := gen.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return "", fmt.Errorf("make a file of %d rows: %w", want.rows, err)
	}
	l.files[want] = path
	return path, nil
}

// write creates a file with what content writes. A bufio.Writer keeps its first
// error, so content need not check each write.
func (l *env) write(content func(*bufio.Writer) error) (path string, err error) {
	f, err := os.CreateTemp(l.dir, "*.csv")
	if err != nil {
		return "", err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	if err := content(out); err != nil {
		return "", err
	}
	if err := out.Flush(); err != nil {
		return "", err
	}
	return filepath.Clean(f.Name()), f.Close()
}
