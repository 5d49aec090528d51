package nettest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Host is a host of a [Network].
type Host struct {
	Name      string
	address   netip.Addr
	namespace *os.File
	tun       *os.File

	reading, carriers sync.WaitGroup
}

// newHost makes a network namespace with one interface, whose packets are read from
// and written to tun.
func newHost(name string, address netip.Addr) (h *Host, err error) {
	h = &Host{Name: name, address: address}
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if h.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if h.tun, err = openTUN("net0"); err != nil {
			return err
		}
		// Children of a locked thread are in its namespace.
		for _, args := range [][]string{
			{"link", "set", "lo", "up"},
			{"address", "add", address.String() + "/24", "dev", "net0"},
			{"link", "set", "net0", "up"},
		} {
			if err := run("ip", args...); err != nil {
				return err
			}
		}
		return nil
	})
	return h, err
}

// onThread calls f on a thread of its own, which ends with it: whatever namespace it
// is in then, nothing else runs on it.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock
		result <- f()
	}()
	return <-result
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// Address returns the address of a port on this host.
func (h *Host) Address(port int) string {
	return net.JoinHostPort(h.address.String(), strconv.Itoa(port))
}

// within calls f with the host's network.
func (h *Host) within(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the host %s: %w", h.Name, err)
		}
		return f()
	})
}

// Listen listens on a port of this host.
func (h *Host) Listen(port int) (l net.Listener, err error) {
	err = h.within(func() error {
		l, err = net.Listen("tcp", h.Address(port))
		return err
	})
	return l, err
}

// DialContext connects from this host; the address is an IP address and a port.
func (h *Host) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.within(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Command is what to put before a command so that it runs on this host.
func (h *Host) Command() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), h.namespace.Fd()), "--"}
}
