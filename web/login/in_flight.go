package login

import (
	"errors"
	"sync"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
)

// How many passwords are checked or set at a time. Each check takes memory and
// processor time, whether the password is right or wrong, and the limits on
// failed sign-ins do not count right ones.
const (
	inFlightAnAccount = 2
	inFlightAnAddress = 8
)

// ErrTooManyAtOnce is returned when too many passwords of the same account, or
// from the same network, are already being checked.
var ErrTooManyAtOnce = errors.New("too many passwords at once")

// inFlight counts the operations in progress for each key. The zero value is
// ready to use.
type inFlight struct {
	mu sync.Mutex
	n  map[string]int
}

// enter counts one more operation, or returns false if most are in progress.
func (f *inFlight) enter(key string, most int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n[key] >= most {
		return false
	}
	if f.n == nil {
		f.n = map[string]int{}
	}
	f.n[key]++
	return true
}

func (f *inFlight) leave(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n[key]--; f.n[key] <= 0 {
		delete(f.n, key)
	}
}

// hashing reserves a slot to check or set a password of an account, whatever
// cookies the browser has; the slot is held until done is called. If known, the
// browser has signed in to the account before and may also use the reserved
// slots of the hasher. It returns [ErrTooManyAtOnce] if no slot is free.
func (s *Service) hashing(c *gin.Context, account string, known bool) (hasher *auth.Hasher, done func(), err error) {
	account, address := "account "+account, "address "+network(c.ClientIP())
	if !s.inFlight.enter(address, inFlightAnAddress) {
		s.frame.LogRefusal(c, "too many passwords at once")
		return nil, nil, ErrTooManyAtOnce
	}
	if !s.inFlight.enter(account, inFlightAnAccount) {
		s.inFlight.leave(address)
		s.frame.LogRefusal(c, "too many passwords at once")
		return nil, nil, ErrTooManyAtOnce
	}
	hasher = s.hasher
	if known {
		hasher = hasher.Reserved()
	}
	return hasher, func() {
		s.inFlight.leave(account)
		s.inFlight.leave(address)
	}, nil
}
