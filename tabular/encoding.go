package tabular

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// dosEncodings are the encodings of MS-DOS that the WHATWG Encoding Standard does
// not have.
var dosEncodings = map[string]*charmap.Charmap{"ibm437": charmap.CodePage437, "ibm850": charmap.CodePage850}

// commonLabels are names that people and programs give encodings and the
// standard does not know, without dashes, underscores and spaces.
var commonLabels = map[string]string{
	"utf8sig": encodingUTF8, "utf8bom": encodingUTF8, "utf8withbom": encodingUTF8, "utf8mb4": encodingUTF8, "unicode11utf8": encodingUTF8,
	"utf8twice": encodingUTF8Twice, "utf16le": "utf-16le", "utf16be": "utf-16be", "unicode": encodingUTF16, "ucs2": encodingUTF16,
	"latin1": "windows-1252", "latin2": "iso-8859-2", "latin5": "windows-1254", "latin9": "iso-8859-15", "ansi": "windows-1252",
	"windowslatin1": "windows-1252", "win1252": "windows-1252", "win1250": "windows-1250", "win1251": "windows-1251",
	"macroman": "macintosh", "xmacroman": "macintosh", "mac": "macintosh", "maccyrillic": "x-mac-cyrillic",
	"cp932": "shift_jis", "windows932": "shift_jis", "mskanji": "shift_jis", "sjis": "shift_jis", "shiftjis": "shift_jis",
	"cp936": "gbk", "gb2312": "gbk", "cp949": "euc-kr", "uhc": "euc-kr", "euckr": "euc-kr", "cp950": "big5", "eucjp": "euc-jp",
	"cp51932": "euc-jp", "iso2022jp": "iso-2022-jp", "cp874": "windows-874", "tis620": "windows-874", "cp866": "ibm866", "koi8": "koi8-r",
	"cp437": "ibm437", "437": "ibm437", "ibm437": "ibm437", "oem437": "ibm437", "cp850": "ibm850", "850": "ibm850", "ibm850": "ibm850",
	"oem850": "ibm850", "ibm866": "ibm866", "oem866": "ibm866",
}

// codePages are the numbers of code pages of Windows that have a WHATWG label
// with that number.
var codePages = regexp.MustCompile(`^(?:cp|win|windows|x-cp|codepage|ansi)[-_ ]?(125[0-8]|874)$`)

// isoLabels are the ways to write the numbers of ISO 8859.
var isoLabels = regexp.MustCompile(`^iso[-_ ]?8859[-_ ]?(\d{1,2})$`)

// separators are what is between the parts of a label; which one it is doesn't matter.
var separators = regexp.MustCompile(`[-_ ]`)

// canonicalEncoding returns the lower-case name of an encoding by any of its
// labels: the WHATWG name where the standard has it. The standard's two
// encodings that are not for reading text, "replacement" and "x-user-defined",
// count as unknown.
func canonicalEncoding(label string) (string, error) {
	unknown := fmt.Errorf("%w %q", ErrUnknownEncoding, label)
	label = strings.ToLower(strings.TrimSpace(label))
	if m := codePages.FindStringSubmatch(label); m != nil {
		label = "windows-" + m[1]
	}
	if m := isoLabels.FindStringSubmatch(label); m != nil {
		label = "iso-8859-" + m[1]
	}
	if name, ok := commonLabels[separators.ReplaceAllString(label, "")]; ok {
		return name, nil
	}
	enc, err := htmlindex.Get(label)
	for _, separator := range [...]string{"-", "_", ""} { // the standard writes each label with some of them
		if err == nil {
			break
		}
		enc, err = htmlindex.Get(separators.ReplaceAllString(label, separator))
	}
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
	case encodingUTF8Twice:
		return twiceDecoder{}, nil
	}
	if page, ok := dosEncodings[name]; ok {
		return &markingDecoder{inner: page.NewDecoder().Transformer}, nil
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
