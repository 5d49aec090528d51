package login

import (
	"fmt"
	"strings"

	qr "github.com/piglig/go-qr"
)

// qrMargin is the white border that scanners need, in modules (ISO/IEC 18004
// §7.3.1).
const qrMargin = 4

// qrPicture is a QR code as inline SVG: the dark modules as one path on a white
// square, in every theme.
type qrPicture struct {
	Side int    // of the square, in modules
	Path string // of the dark modules
}

// drawQR encodes a text as a picture.
func drawQR(text string) (p qrPicture, err error) {
	code, err := qr.EncodeText(text, qr.Medium)
	if err != nil {
		return p, fmt.Errorf("draw QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Module(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+qrMargin, y+qrMargin)
			}
		}
	}
	return qrPicture{Side: code.Size() + 2*qrMargin, Path: path.String()}, nil
}
