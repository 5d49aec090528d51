package app

// Forwarded is forwarded, for tests.
var Forwarded = forwarded
