package egress

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Dialer returns a dial function that connects only to addresses for which
// check returns nil; otherwise its errors wrap ErrAddress. A nil resolver means
// the system's. Each address that a name resolves to is checked when it is
// dialed.
func Dialer(check func(netip.Addr) error, resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Resolver: resolver, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return ErrAddress
		}
		return check(to.Addr())
	}}
	return d.DialContext
}
