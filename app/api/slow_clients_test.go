//go:build unix

package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/app/api"
)

// slowClients is how many connections are held open.
const slowClients = 2000

// TestSlowClientsDelayNoOthers measures how long other clients wait for a response,
// first alone and then next to 2,000 slow connections: headers that do not end,
// unexpected bodies, uploads that arrive byte by byte, connections kept open.
func TestSlowClientsDelayNoOthers(t *testing.T) {
	needFiles(t, 3*slowClients)
	url := serveAPI(t, settings(t), api.DevOptions{})
	measure(t, url) // until connections and caches are there
	alone := measure(t, url)
	crowd := gather(t, strings.TrimPrefix(url, "http://"))
	crowded := measure(t, url)
	crowd.dribble()
	t.Logf("99th percentile of %d answers: %s alone, %s beside %d slow connections", len(alone), p99(alone), p99(crowded), crowd.open())
	if p99(crowded) > 5*p99(alone)+250*time.Millisecond {
		t.Errorf("99th percentile %s beside slow connections, %s without", p99(crowded), p99(alone))
	}
	if n := crowd.open(); n < slowClients*9/10 {
		t.Errorf("only %d of %d slow connections were there", n, slowClients)
	}
}

// needFiles makes sure that this many files may be open at once. It raises the
// soft limit up to the hard limit, which root may raise too.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}); err == nil {
		return
	}
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("%d open files are allowed, the test needs %d", limit.Cur, n)
	}
	t.Skipf("%d open files are allowed, the test needs %d", limit.Cur, n)
}

// measure requests a page of users repeatedly, four at a time, and returns how
// long each response took, sorted.
func measure(t *testing.T, url string) (took []time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				r, _ := http.NewRequest("GET", url+"/api/admin/users?limit=1", nil)
				r.Header.Set("Authorization", "Bearer "+adminToken)
				began := time.Now()
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("status %d", res.StatusCode)
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func p99(took []time.Duration) time.Duration { return took[len(took)*99/100] }

// crowd is many connections that send a byte now and then.
type crowd struct {
	mu    sync.Mutex
	conns []slowClient
}

type slowClient struct {
	net.Conn
	silent bool // waits for its next request
}

// open is how many are still connected, as far as writes can tell.
func (c *crowd) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

func gather(t *testing.T, address string) *crowd {
	t.Helper()
	const upload = "POST /api/admin/users/import HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000\r\n"
	begins := []string{
		"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		upload + "\r\n", // rejected without a token, the body not sent yet
		upload + "Authorization: Bearer " + adminToken + "\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\nemail,",
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", // answered, and kept open
	}
	c := &crowd{}
	for n := range slowClients {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		kind := n % len(begins)
		fmt.Fprint(conn, begins[kind])
		c.conns = append(c.conns, slowClient{conn, kind == len(begins)-1})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				c.dribble()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		for _, conn := range c.conns {
			conn.Close()
		}
	})
	return c
}

// dribble sends a byte over all but the silent connections, and drops closed
// ones.
func (c *crowd) dribble() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = slices.DeleteFunc(c.conns, func(conn slowClient) bool {
		if conn.silent {
			return false
		}
		_, err := io.WriteString(conn, "x")
		if err != nil {
			conn.Close()
		}
		return err != nil
	})
}
