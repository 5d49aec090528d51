package config

import (
	"fmt"
	"strings"

	"rollcall/mail/bounce"
	"rollcall/roster"
)

// validateBounceAddress accepts an address that leaves room for a token.
func validateBounceAddress(value string) string {
	if _, err := roster.MailAddress(value); err != nil {
		return "is not an email address"
	}
	local, _, _ := strings.Cut(value, "@")
	switch {
	case len(local) > bounce.MaxAddressLocalPart:
		return fmt.Sprintf("has more than %d characters before the @", bounce.MaxAddressLocalPart)
	case strings.Contains(local, "+"):
		return "has a plus sign, which is added together with a token"
	}
	return ""
}

// unusableBounces reports a listener that no mail would be sent to.
func (c *Config) unusableBounces() Faults {
	if c.BounceListen == "" || c.BounceAddress != "" {
		return nil
	}
	return Faults{{"ROLLCALL_BOUNCE_ADDRESS", "is not set, and ROLLCALL_BOUNCE_LISTEN is",
		"set it to the address that returned mail is sent to, such as bounces@mail.example.com, or unset ROLLCALL_BOUNCE_LISTEN"}}
}
