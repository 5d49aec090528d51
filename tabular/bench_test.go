package tabular_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"rollcall/tabular"
)

func roster(rows int, format string) []byte {
	var b bytes.Buffer
	b.WriteString("email,name,role,department\r\n")
	for i := range rows {
		fmt.Fprintf(&b, format, i, i)
	}
	return b.Bytes()
}

const (
	plainRow  = "person.%d@example.com,Grace Hopper %d,user,Research and Development\r\n"
	quotedRow = "\"person.%d@example.com\",\"Hopper, Grace %d\",\"user\",\"Research \"\"and\"\" Development\"\r\n"
)

func drain(b *testing.B, data []byte, o tabular.Options) {
	r, err := tabular.Open(bytes.NewReader(data), o)
	if err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	const rows = 20_000
	plain := roster(rows, plainRow)
	latin, err := charmap.Windows1252.NewEncoder().Bytes(plain)
	if err != nil {
		b.Fatal(err)
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(plain)
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		data []byte
		opts tabular.Options
	}{
		{"plain", plain, tabular.Options{}},
		{"bare CR", bytes.ReplaceAll(plain, []byte("\r\n"), []byte("\r")), tabular.Options{}},
		{"quoted", roster(rows, quotedRow), tabular.Options{}},
		{"windows-1252", latin, tabular.Options{Encoding: "windows-1252"}},
		{"gb18030", plain, tabular.Options{Encoding: "gb18030"}},
		{"utf-16", utf16, tabular.Options{Encoding: "utf-16"}},
		{"a quote open on each line", bytes.Repeat([]byte("a,\"b\n"), 5*rows), tabular.Options{}},
		{"one quote never closed", append([]byte("\""), plain...), tabular.Options{}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.data)))
			b.ReportAllocs()
			for b.Loop() {
				drain(b, bench.data, bench.opts)
			}
		})
	}
}

// BenchmarkEncodingCSV is what BenchmarkReader is held against.
func BenchmarkEncodingCSV(b *testing.B) {
	const rows = 20_000
	for name, format := range map[string]string{"plain": plainRow, "quoted": quotedRow} {
		data := roster(rows, format)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r := csv.NewReader(bytes.NewReader(data))
				r.ReuseRecord = true
				for {
					if _, err := r.Read(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
