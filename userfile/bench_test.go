package userfile_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"testing"

	"rollcall/roster"
	"rollcall/userfile"
)

// ordinaryFile is a file of valid rows in ASCII without quotes.
func ordinaryFile(rows int) []byte {
	departments := [...]string{"Engineering", "Research and Development", "Sales", "Human Resources", ""}
	names := [...]string{"Grace Hopper", "Ada Lovelace", "Alan M. Turing", "Barbara Liskov", "Edsger Dijkstra"}
	var b bytes.Buffer
	b.WriteString("email,name,role,department\n")
	for i := range rows {
		role := "user"
		if i%50 == 0 {
			role = "admin"
		}
		fmt.Fprintf(&b, "person.%d@example.com,%s,%s,%s\n", i, names[i%len(names)], role, departments[i/3%len(departments)])
	}
	return b.Bytes()
}

const benchRows = 20_000

// BenchmarkOrdinaryRows reads and validates rows as the check does, without the
// database queries.
func BenchmarkOrdinaryRows(b *testing.B) {
	data := ordinaryFile(benchRows)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		reader, err := userfile.Open(bytes.NewReader(data), roster.Options{})
		if err != nil {
			b.Fatal(err)
		}
		good := 0
		for {
			row, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if len(row.Problems) == 0 {
				good++
			}
		}
		if good != benchRows {
			b.Fatalf("%d of %d rows are good", good, benchRows)
		}
	}
}

// BenchmarkEncodingCSV is the baseline for BenchmarkOrdinaryRows.
func BenchmarkEncodingCSV(b *testing.B) {
	data := ordinaryFile(benchRows)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in := csv.NewReader(bytes.NewReader(data))
		in.ReuseRecord = true
		for {
			if _, err := in.Read(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
