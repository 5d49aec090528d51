// Command worker runs imports, sends invitations and runs maintenance.
package main

import (
	"os"

	"rollcall/app"
	"rollcall/app/worker"
	"rollcall/config"
)

func main() { os.Exit(app.Process(config.LoadWorker, worker.Run)) }
