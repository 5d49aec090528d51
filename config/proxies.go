package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseProxies reads addresses and CIDR blocks separated by commas. The error
// repeats no part of the text.
func ParseProxies(text string) ([]netip.Prefix, error) {
	var blocks []netip.Prefix
	for i, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		block, err := netip.ParsePrefix(part)
		if err != nil {
			address, err := netip.ParseAddr(part)
			if err != nil || address.Zone() != "" {
				return nil, fmt.Errorf("entry %d is neither an address nor a CIDR block", i+1)
			}
			block = netip.PrefixFrom(address, address.BitLen())
		}
		if block.Bits() == 0 {
			return nil, fmt.Errorf("entry %d would trust every client", i+1)
		}
		blocks = append(blocks, block.Masked())
	}
	return blocks, nil
}
