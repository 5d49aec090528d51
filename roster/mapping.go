package roster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// headerSeparator separates the headers of one column in a mapping. Headers
// don't contain it: it is a control character made for this.
const headerSeparator = "\x1f"

// Headers are the headers of a file that hold one of our columns: usually one,
// but a name may have several, whose values are joined by a space. In a mapping
// of [Options] they are a plain string. As JSON one header is a string, several
// are a list.
type Headers string

// JoinHeaders combines several headers into one value.
func JoinHeaders(headers ...string) Headers {
	return Headers(strings.Join(headers, headerSeparator))
}

// List returns the headers one by one; nil for none.
func (h Headers) List() []string {
	if h == "" {
		return nil
	}
	return strings.Split(string(h), headerSeparator)
}

// String formats the headers for display, joined by a plus sign.
func (h Headers) String() string { return strings.Join(h.List(), " + ") }

// MarshalJSON implements [json.Marshaler].
func (h Headers) MarshalJSON() ([]byte, error) {
	var value any = string(h)
	if list := h.List(); len(list) > 1 {
		value = list
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false) // left to who writes the document
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write headers: %w", err)
	}
	return bytes.TrimSpace(raw.Bytes()), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Headers) UnmarshalJSON(raw []byte) error {
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		*h = Headers(one)
		return nil
	}
	var several []string
	if err := json.Unmarshal(raw, &several); err != nil {
		return fmt.Errorf("read headers: %w", err)
	}
	*h = JoinHeaders(several...)
	return nil
}
