package web

import (
	"rollcall/roster"
	"rollcall/storage"
)

func roleWords(r roster.Role) string {
	if r == roster.RoleAdmin {
		return "Administrator"
	}
	return "User"
}

// invitationStatus labels a state that users can be filtered by.
func invitationStatus(s roster.InvitationStatus) string {
	switch s {
	case roster.InvitationHeld:
		return "On hold"
	case roster.InvitationPending:
		return "Queued"
	case roster.InvitationSent:
		return "Sent"
	case roster.InvitationFailed:
		return "Failed"
	case roster.InvitationBounced:
		return "Bounced"
	case roster.InvitationExpired:
		return "Expired"
	case roster.InvitationRevoked:
		return "Revoked"
	case roster.InvitationAccepted:
		return "Accepted"
	case storage.InvitationAny:
		return "Invited (all)"
	case storage.InvitationMailed:
		return "Emailed (all)"
	case storage.InvitationUnsent:
		return "Not emailed"
	}
	return string(s)
}

func actorKind(k roster.ActorKind) string {
	switch k {
	case roster.ActorUser:
		return "user"
	case roster.ActorToken:
		return "API token"
	case roster.ActorConfig:
		return "environment token"
	case roster.ActorSystem:
		return "system"
	}
	return string(k)
}
