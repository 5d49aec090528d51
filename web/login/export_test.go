package login

// Internals that external tests need.
var Network = network

type InFlight = inFlight

func (f *InFlight) Enter(key string, most int) bool { return f.enter(key, most) }
func (f *InFlight) Leave(key string)                { f.leave(key) }
func (f *InFlight) Keys() int                       { return len(f.n) }
