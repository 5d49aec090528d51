//go:build !faults

package importer

import "rollcall/roster"

// faultInjector does nothing in released programs.
func faultInjector() func(pass roster.Status, row int64) { return func(roster.Status, int64) {} }
