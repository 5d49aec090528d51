// Command gen writes a CSV of made-up people to standard output:
//
//	go run ./examples/gen -rows 100000 > big.csv
//	go run ./examples/gen -rows 100000 -errors 1 > bad.csv
//
// The same flags give the same bytes. It keeps one row in memory at a time,
// whatever the size of the file.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
)

func main() {
	var w wanted
	flag.Int64Var(&w.rows, "rows", 1000, "how many `rows`, besides the header")
	flag.Float64Var(&w.errors, "errors", 0, "how many `percent` of the rows are to be refused, spread evenly")
	flag.Uint64Var(&w.seed, "seed", 1, "another `number` gives other names, roles and departments")
	flag.Parse()
	if flag.NArg() > 0 || w.rows < 0 || !(w.errors >= 0 && w.errors <= 100) {
		flag.Usage()
		os.Exit(2)
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	err := w.write(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// wanted describes the file to generate.
type wanted struct {
	rows   int64
	errors float64 // percent
	seed   uint64
}

func (w wanted) write(out io.Writer) error {
	if _, err := io.WriteString(out, "email,name,role,department\n"); err != nil {
		return err
	}
	chance := rand.New(rand.NewPCG(w.seed, 0))
	last := "" // the last valid address
	faulty := int64(0)
	for n := int64(1); n <= w.rows; n++ {
		p := makePerson(chance, n)
		if due := int64(float64(n) * w.errors / 100); due > faulty {
			spoil := faults[faulty%int64(len(faults))]
			faulty = due
			spoil(&p, last)
		} else {
			last = p.email
		}
		if _, err := fmt.Fprintf(out, "%s,%s,%s,%s\n", p.email, p.name, p.role, p.department); err != nil {
			return err
		}
	}
	return nil
}

// person is one row's cells; none of them needs quoting.
type person struct{ email, name, role, department string }

// makePerson makes the n-th person. The number makes the address unique.
func makePerson(chance *rand.Rand, n int64) person {
	first, last := pick(chance, firstNames), pick(chance, lastNames)
	return person{
		email:      fmt.Sprintf("%s.%s.%d@example.com", strings.ToLower(first), strings.ToLower(last), n),
		name:       first + " " + last,
		role:       pick(chance, roles),
		department: pick(chance, departments),
	}
}

func pick(chance *rand.Rand, from []string) string { return from[chance.IntN(len(from))] }

// faults break a valid person, in turn. last is the address of the last valid
// one, "" if there is none yet.
var faults = []func(p *person, last string){
	func(p *person, _ string) { p.name = "" },                                     // missing_required_field
	func(p *person, _ string) { p.email = strings.Replace(p.email, "@", " ", 1) }, // invalid_email
	func(p *person, last string) { p.email = last },                               // duplicate_email; with no address yet, a missing one
	func(p *person, _ string) { p.role = "manager" },                              // invalid_role
	func(p *person, _ string) { p.name += "\xff" },                                // encoding_error
	func(p *person, _ string) { p.department += ",extra" },                        // malformed_row
	func(p *person, _ string) { p.name = strings.Repeat(p.name, 40) },             // value_too_long
}

var (
	firstNames = []string{
		"Aisha", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ingrid", "Jamal", "Keiko", "Liam",
		"Maria", "Nils", "Olga", "Pablo", "Quentin", "Rosa", "Samir", "Tessa", "Umberto", "Vera", "Wei", "Yara",
	}
	lastNames = []string{
		"Adams", "Berg", "Costa", "Dubois", "Eriksson", "Ferrari", "Garcia", "Haddad", "Ivanov", "Jensen", "Kim", "Lopez",
		"Meyer", "Novak", "Okafor", "Patel", "Rossi", "Santos", "Tanaka", "Usman", "Vogel", "Wilson", "Yilmaz", "Zhang",
	}
	roles       = []string{"user", "user", "user", "user", "user", "user", "user", "user", "", "admin"}
	departments = []string{"Engineering", "Finance", "Legal", "Logistics", "Marketing", "Operations", "Research", "Sales", "Support", ""}
)
