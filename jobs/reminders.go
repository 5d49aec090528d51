package jobs

import (
	"context"
	"time"
)

// reminderPeriod is how often due reminders are searched for. A search that finds
// none reads one range of an index for each age.
const reminderPeriod = 2 * time.Second

// Reminders says when unused invitations are followed by reminders.
type Reminders struct {
	Ages []time.Duration // of the invitation; whole seconds, ascending, less than TTL; none: no reminders
	TTL  time.Duration   // life of a link
}

// remind queues due reminders until ctx ends. Without any ages it never looks for
// them, and removes those that are still waiting from before.
func (s *sweeper) remind(ctx context.Context) {
	if len(s.reminders.Ages) == 0 {
		s.once(ctx, "reminders", reminderPeriod, s.store.RemoveReminders)
		return
	}
	s.repeat(ctx, "reminders", reminderPeriod, s.queueReminders)
}

func (s *sweeper) queueReminders(ctx context.Context) error {
	for ctx.Err() == nil {
		if n, err := s.store.QueueReminders(ctx, s.reminders.Ages, s.reminders.TTL); err != nil || n == 0 {
			return err
		}
	}
	return nil
}
