//go:build faults

package importer

import (
	"fmt"
	"os"
	"strings"

	"rollcall/roster"
)

// faultInjector makes rows fail as ROLLCALL_FAULTS says: "importing 1001 panic,
// checking 33 exit". No released program contains it; package chaos builds one
// with -tags faults.
func faultInjector() func(pass roster.Status, row int64) {
	type place struct {
		pass roster.Status
		row  int64
	}
	harm := map[place]string{}
	for fault := range strings.SplitSeq(os.Getenv("ROLLCALL_FAULTS"), ",") {
		var p place
		var what string
		if _, err := fmt.Sscan(fault, &p.pass, &p.row, &what); err != nil {
			panic(fmt.Sprintf("ROLLCALL_FAULTS: %q: %v", fault, err))
		}
		harm[p] = what
	}
	return func(pass roster.Status, row int64) {
		switch harm[place{pass, row}] {
		case "panic":
			panic("planted")
		case "exit":
			os.Exit(3)
		}
	}
}
