//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// measureRowPages pages through rows with cells of a megabyte, a thousand rows a
// page.
func measureRowPages(ctx context.Context, l *env) (_ []Line, err error) {
	rows := max(20, int(200*min(1, l.scale)))
	path, err := l.write(func(out *bufio.Writer) error {
		fmt.Fprint(out, "email,name,note\n")
		note := strings.Repeat("n", 1<<20-200)
		for row := range rows {
			fmt.Fprintf(out, "bad%d,Grace Hopper,%s\n", row, note)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h, err := l.open(ctx, settings{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, _, err := h.run(ctx, path, "dry_run", "true")
	if err != nil {
		return nil, err
	}
	before := h.api.peak()
	page := Line{What: "largest page of rows with cells of 1 MB", Unit: "MB", Wanted: atMost(4.2)}
	for _, only := range []string{"", "&only=errors"} {
		var largest float64
		for next := ""; ; {
			raw, err := h.ask(ctx, http.MethodGet, "/api/admin/users/imports/"+i.ID+"/rows?limit=1000"+only+"&after="+next, nil, nil, http.StatusOK)
			if err != nil {
				return nil, err
			}
			largest = max(largest, float64(len(raw))/1e6)
			var list struct{ Next *string }
			if err := json.Unmarshal(raw, &list); err != nil {
				return nil, err
			}
			if list.Next == nil {
				break
			}
			next = *list.Next
		}
		page.Ours = append(page.Ours, largest)
	}
	return []Line{page, {
		What: "API's memory after pages of rows with cells of 1 MB", Unit: "MB", Ours: []float64{h.api.peak()},
		Against: "before", Theirs: []float64{before}, Wanted: aboveBy(64),
	}}, nil
}

// dawdling is how many connections leave their upload unfinished.
const dawdling = 400

// measureUnfinishedUploads has 400 connections send nearly a megabyte each, as the
// header of a part or as a file, and then nothing.
func measureUnfinishedUploads(ctx context.Context, l *env) (_ []Line, err error) {
	h, err := l.open(ctx, settings{noWorker: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if _, err := h.ask(ctx, http.MethodGet, "/api/admin/users", nil, nil, http.StatusOK); err != nil {
		return nil, err
	}
	before := h.api.peak()
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n"
	request := fmt.Sprintf("POST /api/admin/users/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 7000000\r\n\r\n%s", adminToken, head)
	junk := strings.Repeat("x", 1000<<10)
	bodies := []string{"X: " + junk, "\r\nemail,name\n" + junk}
	var sending sync.WaitGroup
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
		sending.Wait()
	}()
	for n := range dawdling {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
		sending.Go(func() { _, _ = io.WriteString(conn, request+bodies[n%len(bodies)]) })
	}
	time.Sleep(3 * time.Second)
	return []Line{{
		What: fmt.Sprintf("API's memory, %d unfinished uploads", dawdling), Unit: "MB", Ours: []float64{h.api.peak()},
		Against: "before", Theirs: []float64{before}, Wanted: aboveBy(64),
	}}, nil
}

// measureErrorDisk looks at what PostgreSQL takes for the failed rows of a file of
// 2 MB whose rows are of two bytes, and of the same size with rows of sixteen.
func measureErrorDisk(ctx context.Context, l *env) (_ []Line, err error) {
	var lines []Line
	for _, width := range []int{1, 15} {
		size := int(2e6 * min(1, l.scale))
		path, err := l.write(func(out *bufio.Writer) error {
			fmt.Fprint(out, "email,name,role\n")
			for n := 0; n < size/(width+1); n++ {
				// Each row another one, as far as its width allows.
				fmt.Fprintf(out, "%s\n", fmt.Sprintf("%015x", uint64(n)*0x9E3779B97F4A7C15>>4)[15-width:])
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		line := Line{
			What: fmt.Sprintf("stored for failed rows, %d bytes each", width+1), Unit: "MB",
			Against: "the file", Wanted: atMostTimes(2),
		}
		if err := l.errorDisk(ctx, path, &line); err != nil {
			return nil, err
		}
		line.Theirs = []float64{float64(size) / 1e6}
		lines = append(lines, line)
	}
	return lines, nil
}

func (l *env) errorDisk(ctx context.Context, path string, line *Line) (err error) {
	h, err := l.open(ctx, settings{env: []string{"ROLLCALL_MAX_ROWS=2000000"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, took, err := h.run(ctx, path, "dry_run", "true")
	if err != nil {
		return err
	}
	var stored float64
	if err := h.db.QueryRowContext(ctx, `SELECT pg_total_relation_size('import_errors')`).Scan(&stored); err != nil {
		return err
	}
	line.Ours = []float64{stored / 1e6}
	line.Note = fmt.Sprintf("%s rows, checked in %.1f s", thousands(int(i.Failed)), took.Seconds())
	return nil
}
