package header

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Forwarded has everything behind it see the address of the client where a
// trusted proxy has passed the request on: it puts it in the place of the
// proxy's. From anybody else X-Forwarded-For is worth nothing, and with no
// trusted proxy it is never looked at.
//
// A proxy appends to the header whom it was talking to. So it is read from the
// end, and the first address that is no trusted proxy's is the client's; what
// stands before that the client may have written itself.
func Forwarded(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && among(trusted, peer.Addr()) {
			client := original(trusted, peer.Addr(), r.Header.Values("X-Forwarded-For"))
			copied := *r
			// The port stays the connection's, by which connections are told apart.
			copied.RemoteAddr = netip.AddrPortFrom(client, peer.Port()).String()
			r = &copied
		}
		next.ServeHTTP(w, r)
	})
}

// original is whom the trusted proxies that peer is the last of were talking to.
func original(trusted []netip.Prefix, peer netip.Addr, header []string) netip.Addr {
	hops := strings.Split(strings.Join(header, ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, err := parseHop(hop)
		if err != nil {
			return peer // the proxy says something that is no address: it is all we know
		}
		if peer = address; !among(trusted, address) {
			return address
		}
	}
	return peer
}

// parseHop reads an address, with or without a port.
func parseHop(hop string) (netip.Addr, error) {
	hop = strings.TrimSpace(hop)
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	address, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return address.Unmap().WithZone(""), err
}

func among(blocks []netip.Prefix, address netip.Addr) bool {
	address = address.Unmap()
	return slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(address) })
}
