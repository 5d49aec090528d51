// Package egress says which addresses this program may connect to on somebody
// else's word: a webhook's URL, a mail server typed into the settings. Every
// address is judged when it is dialed, behind the resolver, where no name can
// lie and no later answer can change it.
package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ErrAddress: the address is not one to connect to.
var ErrAddress = errors.New("address not allowed")

// Addresses says which addresses may be connected to, beyond those that are the
// public Internet's, and whether other machines may be spoken to unencrypted.
// The zero value adds no address.
type Addresses struct {
	allowed   []netip.Prefix
	encrypted bool
}

// ParseAddresses reads what ROLLCALL_WEBHOOK_ALLOW_PRIVATE and
// ROLLCALL_SMTP_ALLOW_PRIVATE hold: "" or "false" for none, "true" for loopback and private networks, or a list of addresses
// and CIDR blocks separated by commas. Nothing but its own name in the list allows an
// address where a cloud tells its machines their credentials.
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

// OnlyEncrypted returns the same addresses, none of them but loopback to be
// spoken to unencrypted.
func (a Addresses) OnlyEncrypted() Addresses {
	a.encrypted = true
	return a
}

// MustEncrypt tells whether OnlyEncrypted made a.
func (a Addresses) MustEncrypt() bool { return a.encrypted }

// None tells that nothing beyond the public Internet is allowed.
func (a Addresses) None() bool { return len(a.allowed) == 0 }

// Check returns nil for an address that may be connected to, else ErrAddress.
func (a Addresses) Check(addr netip.Addr) error {
	if a.Named(addr) == nil || addr.Zone() == "" && public(addr.Unmap()) && !metadata(addr.Unmap()) {
		return nil
	}
	return ErrAddress
}

// Plain returns nil for an address that may be spoken to unencrypted, else
// ErrAddress: on the way to any that is not named, somebody could read along.
func (a Addresses) Plain(addr netip.Addr) error {
	if a.encrypted && !addr.Unmap().IsLoopback() {
		return ErrAddress
	}
	return a.Named(addr)
}

// Named returns nil for an address that is allowed beyond the public Internet,
// else ErrAddress.
func (a Addresses) Named(addr netip.Addr) error {
	if addr.Zone() != "" {
		return ErrAddress
	}
	addr = addr.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	switch {
	case metadata(addr):
		// A block may take one of these in unawares: it has to be named.
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

// public tells whether an address is one of the public Internet.
func public(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !in(addr, special())
}

// private are the blocks that "true" stands for: loopback (RFC 1122 §3.2.1.3,
// RFC 4291 §2.5.3), private networks (RFC 1918), shared address space (RFC
// 6598) and unique local addresses (RFC 4193).
func private() []netip.Prefix {
	return prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
}

// metadata tells whether an address is one where clouds answer their own
// machines: AWS, Google, Azure and others; AWS for containers; AWS over IPv6;
// Alibaba; Oracle; Azure's agent.
func metadata(addr netip.Addr) bool {
	return in(addr, prefixes("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"))
}

// special are the blocks that are not the public Internet's: the IANA registries
// of special-purpose addresses (RFC 6890), and those that lead to an IPv4
// address within, which would go round every other block.
func special() []netip.Prefix {
	return slices.Concat(private(), prefixes(
		"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/63", "2001::/23", "2001:db8::/32", "2002::/16",
		"3fff::/20", "5f00::/16", "fe80::/10", "fec0::/10", "ff00::/8"))
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
