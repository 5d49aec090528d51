package jobs

import (
	"rollcall/jobs/invitations"
)

// Parcel is how many invitations one task names at most.
const Parcel = invitations.MaxPerTask

// InHand is how many invitations are claimed at once for a number of
// connections, at most.
func InHand(connections int) int { return mailTaskConcurrency(connections) * Parcel }
