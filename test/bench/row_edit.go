//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// editedRows is how many rows a round of measureRowEdit edits.
const editedRows = 200

// measureRowEdit times edits of a dry run of 100,000 rows, of which one in fifty
// fails: PATCH to answer. Half give a failed row an address of its own, half give a
// valid one an address that another row has.
func measureRowEdit(ctx context.Context, l *env) (_ []Line, err error) {
	rows := l.scaled(100_000)
	path, err := l.write(func(out *bufio.Writer) error {
		fmt.Fprint(out, "email,name,department\n")
		for row := range rows {
			if row%50 == 0 {
				fmt.Fprintf(out, "bad%d,Grace Hopper,Research\n", row)
			} else {
				fmt.Fprintf(out, "person%d@example.com,Grace Hopper,Research\n", row)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	lines := []Line{
		{What: fmt.Sprintf("an edit among %s rows, 95th percentile", thousands(rows)), Unit: "ms", Wanted: atMost(100)},
		{What: "the same, to an address that another row has", Unit: "ms", Wanted: atMost(100)},
	}
	random := rand.New(rand.NewPCG(1, 1))
	err = l.rounds(3, func(int) (err error) {
		h, err := l.open(ctx, settings{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		i, _, err := h.run(ctx, path, "dry_run", "true")
		if err != nil {
			return err
		}
		for k, address := range []func(n int) (row int, email string){
			func(n int) (int, string) { return random.IntN((rows+49)/50) * 50, fmt.Sprintf("new%d@example.com", n) },
			func(int) (int, string) {
				return random.IntN(rows), fmt.Sprintf("person%d@example.com", random.IntN(rows))
			},
		} {
			var took []float64
			for n := range editedRows {
				row, email := address(n)
				began := time.Now()
				if _, err := h.ask(ctx, http.MethodPatch, fmt.Sprintf("/api/admin/users/imports/%s/rows/%d", i.ID, row+2),
					strings.NewReader(fmt.Sprintf(`{"email": %q}`, email)), http.Header{"Content-Type": {"application/json"}}, http.StatusOK); err != nil {
					return err
				}
				took = append(took, float64(time.Since(began).Microseconds())/1000)
			}
			lines[k].Ours = append(lines[k].Ours, percentile(took, 0.95))
			lines[k].Note = fmt.Sprintf("of %d edits, half within %.0f ms", editedRows, percentile(took, 0.5))
		}
		return nil
	})
	return lines, err
}
