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

// InvitationStatus is how far an invitation has come.
type InvitationStatus string

// The states of an invitation. Expired is not stored: it is a sent invitation
// whose time is over by the database's clock.
const (
	InvitationHeld     InvitationStatus = "held"     // not to be sent until asked for
	InvitationPending  InvitationStatus = "pending"  // to be sent, or to be tried again
	InvitationSent     InvitationStatus = "sent"     // the mail server took it
	InvitationFailed   InvitationStatus = "failed"   // the mail server refused it for good
	InvitationAccepted InvitationStatus = "accepted" // the password is set
	InvitationExpired  InvitationStatus = "expired"
	InvitationRevoked  InvitationStatus = "revoked" // withdrawn; its link is dead
)

// User is someone Rollcall knows.
type User struct {
	ID         uuid.UUID
	Email      string
	Name       string
	Role       Role
	Department string
	Status     UserStatus
	ImportID   *uuid.UUID // the import that created the user, if one did
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Invitation *Invitation // nil for a user who was never to be invited
}

// Invitation is the request to set a password. A user has at most one; sending
// it afresh raises Generation, which kills the older links.
type Invitation struct {
	Status     InvitationStatus
	Generation int32
	SentAt     *time.Time
	ExpiresAt  *time.Time
	LastError  string // the mail server's words, "" if none
}
