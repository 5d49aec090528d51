package roster

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"
)

// ChangeType is what happened to a user.
type ChangeType string

// The kinds of changes. A user who is disabled or enabled and changed otherwise at
// the same time is only told as the former.
const (
	UserCreated  ChangeType = "created"
	UserUpdated  ChangeType = "updated"
	UserDisabled ChangeType = "disabled"
	UserEnabled  ChangeType = "enabled"
	UserErased   ChangeType = "erased" // or removed by an undo
)

// ChangeTypes lists them.
func ChangeTypes() []ChangeType {
	return []ChangeType{UserCreated, UserUpdated, UserDisabled, UserEnabled, UserErased}
}

// ChangeEntry is one entry of the feed of changes.
type ChangeEntry struct {
	Type   ChangeType
	At     time.Time // when it was committed
	UserID uuid.UUID
	User   *User // as it is when the feed is read; nil: gone by then
}

// ChangeCursor is a place in the feed of changes: behind an entry. The zero value
// is the beginning of a feed that has lost nothing yet.
type ChangeCursor struct {
	Position int64 // of the commit
	Offset   int32 // entries of the commit that are before the cursor
	Mark     int32 // recognizes a position that was given twice, after a restore
}

// errNoCursor: the text is no cursor of the feed.
var errNoCursor = errors.New("not a cursor of the feed of changes")

// String is the cursor as clients pass it.
func (c ChangeCursor) String() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(c.Position))
	raw = binary.BigEndian.AppendUint32(raw, uint32(c.Offset))
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(raw, uint32(c.Mark)))
}

// ParseChangeCursor reads what [ChangeCursor.String] writes.
func ParseChangeCursor(text string) (ChangeCursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return ChangeCursor{}, errNoCursor
	}
	c := ChangeCursor{
		Position: int64(binary.BigEndian.Uint64(raw)), Offset: int32(binary.BigEndian.Uint32(raw[8:])), Mark: int32(binary.BigEndian.Uint32(raw[12:])),
	}
	if c.Position < 0 || c.Offset < 0 || c.Mark < 0 || c.String() != text {
		return ChangeCursor{}, errNoCursor
	}
	return c, nil
}
