package roster

// Where a byte is allowed in a plain address.
const (
	plainLocal  = 1 << iota // before the @
	plainDomain             // after the @
)

// plainBytes leaves out uppercase letters, which the form to compare doesn't have,
// and the apostrophe, which a spreadsheet may have added. Where dots and hyphens
// are allowed depends on what is around them: see isPlainEmail.
var plainBytes = func() (set [256]uint8) {
	for c, ok := range atext {
		if ok && c != '\'' && (c < 'A' || c > 'Z') {
			set[c] = plainLocal
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		set[c] |= plainDomain
	}
	for c := '0'; c <= '9'; c++ {
		set[c] |= plainDomain
	}
	return set
}()

// isPlainEmail reports whether an address is valid and already in the form to
// compare. Most addresses are, and this check needs only one pass. It is never true
// for an address that parseUnusualEmail rejects or changes; false means unknown.
func isPlainEmail(address string) bool {
	if len(address) > maxEmail {
		return false
	}
	at, separator := 0, true // true at the start and after a dot, where no dot is allowed
	for ; at < len(address) && address[at] != '@'; at++ {
		switch c := address[at]; {
		case plainBytes[c]&plainLocal != 0:
			separator = false
		case c == '.' && !separator:
			separator = true
		default:
			return false
		}
	}
	if separator || at > maxLocal || at == len(address) {
		return false
	}
	// In the domain, labels may not start or end with a hyphen either. Two hyphens
	// in a row may belong to an encoded label (xn--), so they are not plain.
	separator = true
	label, labels := at+1, 1
	for i := at + 1; i < len(address); i++ {
		switch c := address[i]; {
		case plainBytes[c]&plainDomain != 0:
			separator = false
		case separator:
			return false
		case c == '-':
			separator = true
		case c == '.' && i-label <= maxLabel:
			separator = true
			labels++
			label = i + 1
		default:
			return false
		}
	}
	last := address[len(address)-1]
	return !separator && labels >= 2 && len(address)-label <= maxLabel && last > '9' // a last label of digits only is not valid
}
