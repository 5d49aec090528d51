package storage

import (
	"fmt"

	"rollcall/roster"
)

// attributesColumn scans users.attributes.
type attributesColumn struct{ roster.Attributes }

// Scan implements [database/sql.Scanner].
func (a *attributesColumn) Scan(src any) (err error) {
	raw, ok := src.([]byte)
	if !ok && src != nil {
		return fmt.Errorf("read attributes from %T", src)
	}
	a.Attributes, err = roster.ParseAttributes(raw)
	return err
}

// attributesValue is what users.attributes stores: NULL for none.
func attributesValue(a roster.Attributes) *string {
	if a == "" {
		return nil
	}
	text := string(a)
	return &text
}
