package login_test

import (
	"testing"

	"go.uber.org/goleak"

	"rollcall/web/login"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestInFlight: each key has a limited number of slots, and idle keys are
// removed.
func TestInFlight(t *testing.T) {
	t.Parallel()
	var f login.InFlight
	for _, want := range []bool{true, true, false} {
		if got := f.Enter("a", 2); got != want {
			t.Errorf("Enter = %v, want %v", got, want)
		}
	}
	if !f.Enter("b", 1) {
		t.Error("another key has no turn")
	}
	f.Leave("a")
	if !f.Enter("a", 2) {
		t.Error("a turn that was given back is gone")
	}
	for _, key := range []string{"a", "a", "b"} {
		f.Leave(key)
	}
	if n := f.Keys(); n != 0 {
		t.Errorf("%d keys are kept", n)
	}
}
