package roster

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// UserStatus is whether a user can sign in.
type UserStatus string

// The states of a user.
const (
	Invited  UserStatus = "invited"  // no password yet
	Active   UserStatus = "active"   // has set a password
	Disabled UserStatus = "disabled" // may not sign in
)

// ParseUserStatus finds the user state named s.
func ParseUserStatus(s string) (UserStatus, bool) {
	st := UserStatus(s)
	return st, slices.Contains([]UserStatus{Invited, Active, Disabled}, st)
}

// InvitationStatus is the state of an invitation.
type InvitationStatus string

// The states of an invitation. Two are not stored: expired is a sent invitation
// that has expired by the database's clock, and bounced a failed one whose mail came
// back.
const (
	InvitationHeld     InvitationStatus = "held"     // not sent until requested
	InvitationPending  InvitationStatus = "pending"  // to be sent, or to be retried
	InvitationSent     InvitationStatus = "sent"     // the mail server accepted it
	InvitationFailed   InvitationStatus = "failed"   // the mail server rejected it permanently
	InvitationBounced  InvitationStatus = "bounced"  // the mail server accepted it, and it came back
	InvitationAccepted InvitationStatus = "accepted" // the password is set
	InvitationExpired  InvitationStatus = "expired"
	InvitationRevoked  InvitationStatus = "revoked" // withdrawn; its link no longer works
)

// User is a user account.
type User struct {
	ID         uuid.UUID
	Email      string
	Name       string
	Role       Role
	Department string
	Attributes Attributes
	Locale     string // language of mails and pages, BCP 47; "" for the default
	Status     UserStatus
	// ExternalID is the user's key in Source, "" without one. Source is the one that
	// created the user or, if only others know the user by a key, the first of those;
	// "" for a user created by hand.
	ExternalID string
	Source     string
	ImportID   *uuid.UUID // the import that created the user, if one did
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Invitation *Invitation // nil for a user who never gets one

	// SecondFactor reports whether a sign-in asks for a code as well.
	SecondFactor bool
}

// Invitation is the request to set a password. A user has at most one;
// resending it increments Generation, which invalidates the older links.
type Invitation struct {
	Status     InvitationStatus
	Generation int32
	SentAt     *time.Time
	ExpiresAt  *time.Time
	LastError  string     // the mail server's reply, or what a returned mail says; "" if none
	Reminders  int64      // mailed since SentAt
	RemindedAt *time.Time // the last of them
}
