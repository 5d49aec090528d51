package apitypes

import (
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// User is the JSON form of a user.
type User struct {
	ID         uuid.UUID         `json:"id"`
	Email      string            `json:"email"`
	Name       string            `json:"name"`
	Role       roster.Role       `json:"role"`
	Department string            `json:"department"`
	Attributes map[string]string `json:"attributes"` // never nil
	Status     roster.UserStatus `json:"status"`
	Locale     *string           `json:"locale"`
	ExternalID *string           `json:"external_id"`
	Source     *string           `json:"source"`
	ImportID   *uuid.UUID        `json:"import_id"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	Invitation *Invitation       `json:"invitation"`

	SecondFactor bool `json:"second_factor"`
}

// Invitation is the JSON form of an invitation.
type Invitation struct {
	Status     roster.InvitationStatus `json:"status"`
	SentAt     *time.Time              `json:"sent_at"`
	ExpiresAt  *time.Time              `json:"expires_at"`
	LastError  *string                 `json:"last_error"`
	Reminders  int64                   `json:"reminders"`
	RemindedAt *time.Time              `json:"reminded_at"`
}

// UserOf returns the JSON form of a user. Times are in UTC.
func UserOf(u *roster.User) User {
	v := User{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: u.Role, Department: u.Department, Attributes: u.Attributes.Map(), Status: u.Status,
		Locale: Optional(u.Locale), ExternalID: Optional(u.ExternalID), Source: Optional(u.Source),
		ImportID: u.ImportID, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(), SecondFactor: u.SecondFactor,
	}
	if i := u.Invitation; i != nil {
		v.Invitation = &Invitation{Status: i.Status, SentAt: utc(i.SentAt), ExpiresAt: utc(i.ExpiresAt), LastError: Optional(i.LastError), Reminders: i.Reminders, RemindedAt: utc(i.RemindedAt)}
	}
	return v
}

// Change is the JSON form of an entry of the feed of changes.
type Change struct {
	Type   roster.ChangeType `json:"type"`
	At     time.Time         `json:"at"`
	UserID uuid.UUID         `json:"user_id"`
	User   *User             `json:"user"` // nil: gone
}

// Changes is a page of the feed of changes.
type Changes struct {
	Items []Change `json:"items"`
	Next  string   `json:"next"` // never "": it leads to what comes later
}

// ChangesOf returns the JSON form of entries and the cursor behind them. Items is
// never nil.
func ChangesOf(entries []roster.ChangeEntry, next roster.ChangeCursor) Changes {
	page := Changes{Items: make([]Change, len(entries)), Next: next.String()}
	for i, e := range entries {
		page.Items[i] = Change{Type: e.Type, At: e.At.UTC(), UserID: e.UserID}
		if e.User != nil {
			u := UserOf(e.User)
			page.Items[i].User = &u
		}
	}
	return page
}
