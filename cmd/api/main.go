// Command api serves the HTTP API and the admin panel.
package main

import (
	"os"

	"rollcall/app"
	"rollcall/app/api"
	"rollcall/config"
)

func main() { os.Exit(app.Process(config.LoadAPI, api.Run)) }
