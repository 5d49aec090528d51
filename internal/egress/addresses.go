// Package egress guards connections to user-supplied hosts (webhook URLs, mail
// servers) against SSRF. Addresses are checked when they are dialed, after DNS
// resolution, so neither a misleading name nor DNS rebinding gets around it.
package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"code.dny.dev/ssrf"
)

// ErrAddress is returned for an address that must not be connected to.
var ErrAddress = errors.New("address not allowed")

// Addresses says which addresses may be connected to besides those of the
// public Internet, and whether other machines may be reached unencrypted. The
// zero value allows only the public Internet.
type Addresses struct {
	allowed   []netip.Prefix
	encrypted bool
}

// ParseAddresses parses the value of ROLLCALL_WEBHOOK_ALLOW_PRIVATE or
// ROLLCALL_SMTP_ALLOW_PRIVATE: "" or "false" for none, "true" for loopback and
// private networks, or a list of addresses and CIDR blocks separated by commas.
// Addresses at which a cloud serves credentials to its machines are only
// allowed if the list names them exactly.
func ParseAddresses(text string) (Addresses, error) {
	switch text = strings.TrimSpace(text); strings.ToLower(text) {
	case "", "false":
		return Addresses{}, nil
	case "true":
		return Addresses{allowed: private()}, nil
	}
	var a Addresses
	for item := range strings.SplitSeq(text, ",") {
		p, err := parsePrefix(strings.TrimSpace(item))
		if err != nil {
			return Addresses{}, err
		}
		a.allowed = append(a.allowed, p)
	}
	return a, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a CIDR block", text)
	}
	return p.Masked(), nil
}

// OnlyEncrypted returns the same addresses, but only loopback may be connected
// to unencrypted.
func (a Addresses) OnlyEncrypted() Addresses {
	a.encrypted = true
	return a
}

// MustEncrypt reports whether OnlyEncrypted made a.
func (a Addresses) MustEncrypt() bool { return a.encrypted }

// None reports whether only the public Internet is allowed.
func (a Addresses) None() bool { return len(a.allowed) == 0 }

// Check returns nil for an address that may be connected to, else ErrAddress.
func (a Addresses) Check(addr netip.Addr) error {
	if a.Named(addr) == nil || Public(addr) {
		return nil
	}
	return ErrAddress
}

// Plain returns nil for an address that may be connected to unencrypted, else
// ErrAddress: on the way to any other, someone could read along.
func (a Addresses) Plain(addr netip.Addr) error {
	if a.encrypted && !addr.Unmap().IsLoopback() {
		return ErrAddress
	}
	return a.Named(addr)
}

// Named returns nil for an address that is allowed although it is not on the
// public Internet, else ErrAddress.
func (a Addresses) Named(addr netip.Addr) error {
	if addr.Zone() != "" {
		return ErrAddress
	}
	addr = addr.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	switch {
	case metadata(addr):
		// A block may include one of these by accident: it has to be named
		// exactly.
		if slices.Contains(a.allowed, netip.PrefixFrom(addr, addr.BitLen())) {
			return nil
		}
	case in(addr, a.allowed):
		return nil
	}
	return ErrAddress
}

func in(addr netip.Addr, blocks []netip.Prefix) bool {
	return slices.ContainsFunc(blocks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// internet knows the IANA registries of special-purpose addresses (RFC 6890).
// Of IPv6 it allows only 2000::/3, without the parts that lead to an embedded
// IPv4 address, which would bypass every other block: NAT64 (RFC 6052, RFC
// 8215) and SIIT (RFC 2765) are outside it, 6to4 and Teredo are denied.
var internet = ssrf.New(ssrf.WithAnyNetwork(), ssrf.WithAnyPort())

// Public reports whether an address is on the public Internet.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.Zone() == "" && public(addr) && !metadata(addr)
}

func public(addr netip.Addr) bool { return internet.SafeAddr(addr) == nil }

// private returns the blocks that "true" allows: loopback (RFC 1122 §3.2.1.3,
// RFC 4291 §2.5.3), private networks (RFC 1918), shared address space (RFC
// 6598) and unique local addresses (RFC 4193).
func private() []netip.Prefix {
	return prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
}

// metadata reports whether clouds serve credentials to their machines at an
// address: AWS, Google, Azure and others; AWS for containers; AWS over IPv6;
// Alibaba; Oracle; Azure's agent.
func metadata(addr netip.Addr) bool {
	return in(addr, prefixes("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"))
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
