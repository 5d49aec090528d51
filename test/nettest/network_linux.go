// Package nettest makes hosts on one machine whose links a test can cut, slow down
// and have lose packets. Each host has a network namespace and an address of its
// own; the test's process passes the packets from one to another, so neither
// bridges nor traffic control of the kernel are needed.
//
// It needs Linux, root, and the commands ip (iproute2) and nsenter (util-linux).
package nettest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Missing returns what the machine lacks for hosts, "" if nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	for _, command := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(command); err != nil {
			return command
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "/dev/net/tun"
	}
	return ""
}

// Link is how packets travel from one host to another. The zero value is a good
// link.
type Link struct {
	Cut   bool
	Delay time.Duration // one way
	Loss  float64       // the share of packets that are lost, 0 to 1
}

// Network joins hosts.
type Network struct {
	hosts []*Host
	ways  map[[2]*Host]*way
}

// New makes hosts, joined by good links until the test ends.
func New(t testing.TB, names ...string) (*Network, map[string]*Host) {
	t.Helper()
	n := &Network{ways: map[[2]*Host]*way{}}
	byName := map[string]*Host{}
	for i, name := range names {
		h, err := newHost(name, netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}))
		if err != nil {
			n.close()
			t.Fatalf("make the host %s: %v", name, err)
		}
		n.hosts = append(n.hosts, h)
		byName[name] = h
	}
	byAddress := map[[4]byte]*Host{}
	for _, to := range n.hosts {
		byAddress[to.address.As4()] = to
		for _, from := range n.hosts {
			if from != to {
				w := &way{to: to, queue: make(chan packet, 1000)}
				n.ways[[2]*Host{from, to}] = w
				to.carriers.Go(w.carry)
			}
		}
	}
	for _, from := range n.hosts {
		from.reading.Go(func() { n.route(from, byAddress) })
	}
	t.Cleanup(n.close)
	return n, byName
}

func (n *Network) close() {
	for _, h := range n.hosts {
		_ = h.tun.Close() // ends the reading
		h.reading.Wait()
	}
	for _, w := range n.ways {
		close(w.queue)
	}
	for _, h := range n.hosts {
		h.carriers.Wait()
		_ = h.namespace.Close() // with the last process in it, the namespace is gone
	}
}

// Set changes the links between each of some hosts and each of others, both ways.
func (n *Network) Set(l Link, some []*Host, others ...*Host) {
	for _, a := range some {
		for _, b := range others {
			for _, ends := range [][2]*Host{{a, b}, {b, a}} {
				if w := n.ways[ends]; w != nil {
					w.set(l)
				}
			}
		}
	}
}

// SetAll changes all links.
func (n *Network) SetAll(l Link) { n.Set(l, n.hosts, n.hosts...) }

// route reads the packets that a host sends and puts them on their way.
func (n *Network) route(from *Host, byAddress map[[4]byte]*Host) {
	buffer := make([]byte, 64<<10)
	for {
		size, err := from.tun.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || size < 20 || buffer[0]>>4 != 4 { // not IPv4
			continue
		}
		if w := n.ways[[2]*Host{from, byAddress[[4]byte(buffer[16:20])]}]; w != nil {
			w.send(buffer[:size])
		}
	}
}

// way is one direction of a link.
type way struct {
	to    *Host
	queue chan packet

	mu   sync.Mutex
	link Link
}

type packet struct {
	data []byte
	due  time.Time
}

func (w *way) set(l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = l
}

func (w *way) send(data []byte) {
	w.mu.Lock()
	l := w.link
	w.mu.Unlock()
	if l.Cut || rand.Float64() < l.Loss {
		return
	}
	select {
	case w.queue <- packet{append([]byte(nil), data...), time.Now().Add(l.Delay)}:
	default: // lost, as at any router whose queue is full
	}
}

// carry delivers packets in their order.
func (w *way) carry() {
	for p := range w.queue {
		if wait := time.Until(p.due); wait > 0 {
			time.Sleep(wait)
		}
		_, _ = w.to.tun.Write(p.data) // a host that is gone gets nothing
	}
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}
