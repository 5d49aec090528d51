package storage

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// RecordHandoffs notes of attempts that the mail server has taken the mail. It
// is quick, and does not wait for the disk; RecordOutcomes removes the mark.
func (s *Store) RecordHandoffs(ctx context.Context, sent []InvitationMail) (err error) {
	defer translate(&err, "mark %d invitations as handed over", len(sent))
	var reminders []InvitationMail
	sent = slices.DeleteFunc(slices.Clone(sent), func(o InvitationMail) bool {
		if o.ReminderID != uuid.Nil {
			reminders = append(reminders, o)
		}
		return o.ReminderID != uuid.Nil
	})
	if len(reminders) > 0 {
		if err := s.recordReminderHandoffs(ctx, reminders); err != nil || len(sent) == 0 {
			return err
		}
	}
	_, err = s.db.ExecContext(ctx, `
		INSERT INTO invitation_handoffs (user_id, generation) SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT DO NOTHING`,
		uuids(sent, func(o *InvitationMail) uuid.UUID { return o.UserID }), bigints(sent, func(o *InvitationMail) int64 { return int64(o.Generation) }))
	return err
}

// PurgeHandoffs removes marks that no outcome has removed: of people who were deleted
// meanwhile, and of attempts whose invitation had moved on.
func (s *Store) PurgeHandoffs(ctx context.Context, age time.Duration) (err error) {
	defer translate(&err, "remove old marks of mails")
	if _, err = s.db.ExecContext(ctx, `DELETE FROM invitation_handoffs WHERE at < now() - make_interval(secs => $1)`, seconds(age)); err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM reminder_handoffs WHERE at < now() - make_interval(secs => $1)`, seconds(age))
	return err
}

// recordReminderHandoffs is RecordHandoffs for reminders.
func (s *Store) recordReminderHandoffs(ctx context.Context, sent []InvitationMail) error {
	_, err := s.db.ExecContext(ctx, `
		INSERT INTO reminder_handoffs (reminder_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING`,
		uuids(sent, func(o *InvitationMail) uuid.UUID { return o.ReminderID }))
	return err
}
