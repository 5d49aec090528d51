package app

// What the tests look at from outside.
var (
	NewHandler = newHandler
	NewServer  = newServer
	OpenStore  = openStore
	// ProcessWithin is Process with another time for the drain.
	ProcessWithin = process
)
