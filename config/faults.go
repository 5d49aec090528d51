package config

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one error in the environment. It never contains the value of the
// variable.
type Fault struct {
	Variable string // such as ROLLCALL_MAX_ROWS, or its _FILE form
	Problem  string // what is wrong: "is not a whole number"
	Remedy   string // what to do: "set it to a number from 1 to 100000000"
}

// String returns the fault on one line.
func (f Fault) String() string { return fmt.Sprintf("%s %s: %s", f.Variable, f.Problem, f.Remedy) }

// Faults is every fault of an environment, in the order of the variables of
// Config. It is the error of the Load functions; find it with errors.As.
type Faults []Fault

// Error returns all faults, one per line.
func (f Faults) Error() string {
	var text strings.Builder
	if len(f) == 1 {
		text.WriteString("the environment has a fault:")
	} else {
		fmt.Fprintf(&text, "the environment has %d faults:", len(f))
	}
	for _, fault := range f {
		text.WriteString("\n  " + fault.String())
	}
	return text.String()
}

// about reports whether a variable, or its file, already has a fault.
func (f Faults) about(variable string) bool {
	return slices.ContainsFunc(f, func(fault Fault) bool {
		return fault.Variable == variable || fault.Variable == variable+fileSuffix
	})
}
