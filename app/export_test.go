package app

// ProcessWithin is Process with another time for the drain.
var ProcessWithin = process
