package main_test

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/userfile"
)

// build builds the program itself: the tests look only at its output.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gen")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// count validates the rows of a file: it counts the codes of the rows that
// fail, and "" for valid ones.
func count(t *testing.T, file []byte) map[roster.Code]int {
	t.Helper()
	sheet, err := userfile.Open(bytes.NewReader(file), roster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[roster.Code]int{}
	seen := userfile.NewEmailSet()
	for {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			return counts
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(row.Problems) > 0:
			counts[row.Problems[0].Code]++
		case seen.Add(row.Person.EmailKey, row.Row) != 0:
			counts[roster.DuplicateEmail]++
		default:
			counts[""]++
		}
	}
}

func TestGen(t *testing.T) {
	t.Parallel()
	program := build(t)
	for name, c := range map[string]struct {
		args string
		want map[roster.Code]int
	}{
		"no rows":  {"-rows 0", map[roster.Code]int{}},
		"all good": {"-rows 5000", map[roster.Code]int{"": 5000}},
		"one percent": {"-rows 1400 -errors 1", map[roster.Code]int{
			"": 1386, roster.MissingRequiredField: 2, roster.InvalidEmail: 2, roster.DuplicateEmail: 2, roster.InvalidRole: 2,
			roster.EncodingError: 2, roster.MalformedRow: 2, roster.ValueTooLong: 2,
		}},
		"a fraction": {"-rows 1000 -errors 0.1", map[roster.Code]int{"": 999, roster.MissingRequiredField: 1}},
		"all refused": {"-rows 7 -errors 100", map[roster.Code]int{
			roster.MissingRequiredField: 2, roster.InvalidEmail: 1, roster.InvalidRole: 1,
			roster.EncodingError: 1, roster.MalformedRow: 1, roster.ValueTooLong: 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(program, strings.Fields(c.args)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, count(t, out)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSameFlagsSameBytes(t *testing.T) {
	t.Parallel()
	program := build(t)
	run := func(seed string) string {
		out, err := exec.Command(program, "-rows", "100", "-errors", "10", "-seed", seed).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	seven := run("7")
	if again := run("7"); again != seven {
		t.Error("the same seed gives two files")
	}
	if run("8") == seven {
		t.Error("two seeds give the same file")
	}
}

func TestRefusesNonsense(t *testing.T) {
	t.Parallel()
	program := build(t)
	for _, args := range []string{"-rows -1", "-errors 101", "-errors -1", "-errors NaN", "file.csv"} {
		err := exec.Command(program, strings.Fields(args)...).Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
			t.Errorf("gen %s: %v, want exit code 2", args, err)
		}
	}
}
