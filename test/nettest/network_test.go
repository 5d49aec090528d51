//go:build linux

package nettest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLinks: hosts reach each other, from the test and from programs, over links
// that can be slowed, made to lose packets, cut and restored.
func TestLinks(t *testing.T) {
	if missing := nettest.Missing(); missing != "" {
		if os.Getenv("ROLLCALL_REQUIRE_ALL") != "" {
			t.Fatalf("needs %s", missing)
		}
		t.Skipf("needs %s", missing)
	}
	network, hosts := nettest.New(t, "server", "near", "far")
	server, near, far := hosts["server"], hosts["near"], hosts["far"]
	listener, err := server.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	const size = 300_000
	site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(slices.Repeat([]byte("x"), size))
	})}
	go site.Serve(listener)
	t.Cleanup(func() { site.Close() })

	// get fetches a page over a connection of its own.
	get := func(from *nettest.Host, within time.Duration) (took time.Duration, err error) {
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, within) // a transport goes on dialing after its request
			defer cancel()
			return from.DialContext(ctx, network, address)
		}
		client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
		began := time.Now()
		answer, err := client.Get("http://" + server.Address(80))
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != size {
			t.Errorf("%d bytes, %v", n, err)
		}
		return time.Since(began), nil
	}
	reaches := func(from *nettest.Host) time.Duration {
		t.Helper()
		took, err := get(from, time.Minute)
		if err != nil {
			t.Fatalf("from %s: %v", from.Name, err)
		}
		return took
	}
	reaches(near)
	command := append(far.Command(), "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "http://"+server.Address(80))
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil || string(out) != "200 300000" {
		t.Errorf("a program: %s, %v", out, err)
	}
	const delay = 50 * time.Millisecond
	network.Set(nettest.Link{Delay: delay, Loss: 0.01}, []*nettest.Host{server}, far)
	if took := reaches(far); took < 4*delay { // to connect, and to ask
		t.Errorf("over a slow link: %v", took)
	}
	network.Set(nettest.Link{Cut: true}, []*nettest.Host{server}, far)
	if _, err := get(far, time.Second); err == nil {
		t.Error("reached over a link that is cut")
	}
	reaches(near)
	network.SetAll(nettest.Link{})
	reaches(far)
}
