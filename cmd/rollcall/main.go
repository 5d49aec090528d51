// Command rollcall is Rollcall's command line: a private instance for a try,
// and what administrators and operators need around a real one.
package main

import (
	"context"
	"os"

	"rollcall/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
