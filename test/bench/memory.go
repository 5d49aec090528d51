//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"
)

// measureUploadMemory compares the API's memory for a large upload and for a
// small one. There is no worker, so nothing else runs.
func measureUploadMemory(ctx context.Context, l *env) ([]Line, error) {
	const mb = 1 << 20
	large, small := max(mb, int(float64(256*mb-2*mb)*min(1, l.scale))), mb // the form around it counts too
	line := Line{
		What: fmt.Sprintf("API's memory, upload of %d MB", (large+2*mb)/mb), Unit: "MB",
		Against: "upload of 1 MB", Wanted: within(16),
	}
	err := l.rounds(3, func(int) error {
		much, err := l.uploadMemory(ctx, large)
		if err != nil {
			return err
		}
		little, err := l.uploadMemory(ctx, small)
		line.Ours, line.Theirs = append(line.Ours, much), append(line.Theirs, little)
		return err
	})
	return []Line{line}, err
}

func (l *env) uploadMemory(ctx context.Context, size int) (peak float64, err error) {
	path, err := l.write(func(out *bufio.Writer) error {
		n, _ := out.WriteString("email,name,role,department\n")
		for row := 0; n < size; row++ {
			m, _ := fmt.Fprintf(out, "person.%d@example.com,Grace Hopper,user,Research and Development\n", row)
			n += m
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	h, err := l.open(ctx, settings{noWorker: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	_, err = h.post(ctx, path, 0)
	return h.api.peak(), err
}

// measureRedisMemory measures what Redis contains while many invitations are
// due and the mail server is slow.
func measureRedisMemory(ctx context.Context, l *env) (_ []Line, err error) {
	rows := l.scaled(1_000_000)
	path, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	l.sink.wait.Store(int64(500 * time.Millisecond))
	defer l.sink.wait.Store(0)
	h, err := l.open(ctx, settings{mail: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	client := l.redis()
	defer client.Close()
	used := func() (float64, error) {
		info, err := client.InfoMap(ctx, "memory").Result()
		if err != nil {
			return 0, err
		}
		var bytes float64
		_, err = fmt.Sscan(info["Memory"]["used_memory"], &bytes)
		return bytes / 1e6, err
	}
	if l.redisIs == "miniredis" {
		return []Line{{What: "Redis' memory", Unit: "MB", Ours: []float64{0}, Note: "not measured: miniredis does not tell"}}, nil
	}
	empty, err := used()
	if err != nil {
		return nil, err
	}
	i, _, err := h.run(ctx, path)
	if err != nil {
		return nil, err
	}
	most := 0.0
	for range l.scaled(20) {
		now, err := used()
		if err != nil {
			return nil, err
		}
		most = max(most, now)
		time.Sleep(100 * time.Millisecond)
	}
	return []Line{{
		What: fmt.Sprintf("Redis' memory, %s invitations due", thousands(int(i.Imported))), Unit: "MB", Ours: []float64{most},
		Against: "empty", Theirs: []float64{empty}, Wanted: aboveBy(20),
	}}, nil
}
