package login

import "net/netip"

// network is the part of a client's address that belongs to one subscriber: an
// IPv4 address, or the /64 of an IPv6 address (RFC 6177).
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
