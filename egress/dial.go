package egress

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Dialer returns a dial function that connects to addresses check lets through
// and no other; its errors wrap ErrAddress where that was the reason. resolver
// may be nil for the system's. The address is judged once more for each that a
// name leads to, at the moment it is connected to.
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
