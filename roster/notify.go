package roster

import (
	"fmt"
	"slices"
	"strings"
)

// MaxNotify is how many addresses may be told about an import.
const MaxNotify = 10

// ParseNotify reads the addresses that are told about an import, separated by
// commas; blank means none. It returns them as compared, each once. Errors do not
// repeat the value.
func ParseNotify(text string) (emails []string, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for n, part := range strings.Split(text, ",") {
		_, key, err := ParseEmail(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("address %d is not valid: %w", n+1, err)
		}
		if !slices.Contains(emails, key) {
			emails = append(emails, key)
		}
		if len(emails) > MaxNotify {
			return nil, fmt.Errorf("there are more than %d addresses", MaxNotify)
		}
	}
	return emails, nil
}
