package web

import (
	"time"

	"rollcall/roster"
)

func roleWords(r roster.Role) string {
	if r == roster.RoleAdmin {
		return "Administrator"
	}
	return "User"
}

// invitationStatus names a state by which users are looked for.
func invitationStatus(s roster.InvitationStatus) string {
	switch s {
	case roster.InvitationHeld:
		return "Held back"
	case roster.InvitationPending:
		return "On its way"
	case roster.InvitationSent:
		return "Sent"
	case roster.InvitationFailed:
		return "Failed"
	case roster.InvitationExpired:
		return "Expired"
	case roster.InvitationRevoked:
		return "Withdrawn"
	case roster.InvitationAccepted:
		return "Accepted"
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
		return "token of the environment"
	case roster.ActorSystem:
		return "the server itself"
	}
	return string(k)
}

// ago says how long ago a time was, as of now; after a month, the day.
func ago(t time.Time) string { return agoAt(t, time.Now()) }

func agoAt(t, now time.Time) string {
	const day = 24 * time.Hour
	switch d := now.Sub(t); {
	case d < time.Minute: // or a clock a little ahead of ours
		return "just now"
	case d < time.Hour:
		return counted(int64(d/time.Minute), "minute", "minutes") + " ago"
	case d < day:
		return counted(int64(d/time.Hour), "hour", "hours") + " ago"
	case d < 31*day:
		return counted(int64(d/day), "day", "days") + " ago"
	}
	return t.UTC().Format("2 Jan 2006")
}
