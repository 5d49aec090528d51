package web

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// exportPage is how many users are read at a time, which keeps memory use flat
// for any number of users.
const exportPage = 1000

// exportUsers sends the users that match the search, newest first, as CSV:
// UTF-8 with a byte order mark, for spreadsheets, written by [tabular.Writer].
func (s *Site) exportUsers(c *gin.Context, admin *roster.User) error {
	filter := readUserSearch(c).filter()
	filter.Order, filter.Reversed = storage.ByAge, false // by the primary key, so that no page needs a sort
	ctx := c.Request.Context()
	if err := s.deps.Store.AuditExport(ctx, entry(c, admin)); err != nil {
		return err
	}
	return s.writeUsers(ctx, newAttachment(c, "users.csv", "text/csv; charset=utf-8"), filter)
}

func (s *Site) writeUsers(ctx context.Context, w io.Writer, filter storage.UserFilter) error {
	sheet := tabular.NewWriter(w, tabular.WriterOptions{Mark: true})
	if err := sheet.Write(append(userfile.UserListColumns(), s.deps.Attributes...)...); err != nil { // buffered until the first users are read
		return fmt.Errorf("write users: %w", err)
	}
	for filter.Limit = exportPage; ; {
		users, err := s.deps.Store.Users(ctx, filter)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := sheet.Write(exportRow(u, s.deps.Attributes)...); err != nil {
				return fmt.Errorf("write users: %w", err)
			}
		}
		if err := sheet.Flush(); err != nil {
			return fmt.Errorf("write users: %w", err)
		}
		if len(users) < exportPage {
			return nil
		}
		filter.After = users[len(users)-1].ID
	}
}

func exportRow(u *roster.User, attributes []string) []string {
	invitation := roster.Invitation{}
	if u.Invitation != nil {
		invitation = *u.Invitation
	}
	row := []string{
		u.Email, u.Name, string(u.Role), u.Department, string(u.Status),
		string(invitation.Status), exactly(invitation.SentAt), exactly(invitation.ExpiresAt), exactly(&u.CreatedAt), u.Locale,
	}
	values := u.Attributes.Map()
	for _, name := range attributes {
		row = append(row, values[name])
	}
	return row
}

// exactly formats a time for programs (RFC 3339), "" for none.
func exactly(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
