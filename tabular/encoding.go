package tabular

import (
	"fmt"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// canonicalEncoding returns the lower-case WHATWG name for a label. The
// standard's two encodings that are not for reading text, "replacement" and
// "x-user-defined", count as unknown.
func canonicalEncoding(label string) (string, error) {
	unknown := fmt.Errorf("%w %q", ErrUnknownEncoding, label)
	enc, err := htmlindex.Get(label)
	if err != nil || enc == nil {
		return "", unknown
	}
	name, err := htmlindex.Name(enc)
	if err != nil || name == "replacement" || name == "x-user-defined" {
		return "", unknown
	}
	return name, nil
}

// newDecoder returns a transformer from the encoding with that canonical name,
// UTF-8 aside, to UTF-8 with each faulty sequence marked by invalidByte.
func newDecoder(name string) (transform.Transformer, error) {
	switch name {
	case "utf-16le":
		return utf16Decoder{}, nil
	case "utf-16be":
		return utf16Decoder{bigEndian: true}, nil
	}
	enc, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownEncoding, name)
	}
	d := &markingDecoder{inner: enc.NewDecoder().Transformer}
	if name == "gb18030" {
		d.genuine = gb18030Replacement
	}
	return d, nil
}
