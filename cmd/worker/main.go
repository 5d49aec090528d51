// Command worker runs imports, sends invitations and keeps house.
package main

import (
	"os"

	"rollcall/app"
	"rollcall/config"
)

func main() { os.Exit(app.Process(config.LoadWorker, app.RunWorker)) }
