package cli_test

import (
	"context"
	"testing"
	"time"

	"rollcall/cli"
)

// TestDevRefusesOtherMachines: listening for other machines needs the address
// and --expose.
func TestDevRefusesOtherMachines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ variable, want string }{
		{"ROLLCALL_LISTEN=:8080", "ROLLCALL_LISTEN=:8080 lets other machines connect"},
		{"ROLLCALL_LISTEN=0.0.0.0:8080", "ROLLCALL_LISTEN=0.0.0.0:8080 lets other machines connect"},
		{"ROLLCALL_LISTEN=192.0.2.7:8080", "ROLLCALL_LISTEN=192.0.2.7:8080 lets other machines connect"},
		{"ROLLCALL_METRICS_LISTEN=[::]:9090", "ROLLCALL_METRICS_LISTEN=[::]:9090 lets other machines connect"},
	} {
		r := shell{T: t, environ: []string{c.variable, "ROLLCALL_DATA_DIR=" + t.TempDir()}}.run("dev")
		if r.code != 1 || r.stdout != "" {
			t.Errorf("%s: %+v", c.variable, r)
		}
		contains(t, r.stderr, c.want, "add --expose")
	}
	// With --expose it goes on, here to find that it was told to stop.
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	r := shell{T: t, environ: []string{"ROLLCALL_LISTEN=0.0.0.0:0", "ROLLCALL_DATA_DIR=" + t.TempDir()}}.runUntil(ctx, "dev", "--expose")
	contains(t, r.stderr, "Starting a private instance")
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:0": true, "[::1]:80": true, "localhost:8080": true,
		":8080": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "example.com:80": false,
	} {
		if got := cli.Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v", address, got)
		}
	}
}
