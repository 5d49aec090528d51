package web

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// exportPage is how many users are read at a time: memory stays flat however
// many there are.
const exportPage = 1000

// exportColumns are the columns of a list of users as a file, behind a byte
// order mark. The first four are named like those of an import.
var exportColumns = []string{
	"\ufeffemail", "name", "role", "department", "status", "invitation", "invitation_sent_at", "invitation_expires_at", "added_at",
}

// exportUsers sends the users that the search finds, newest first, as CSV:
// UTF-8 with a byte order mark, for spreadsheets, and each cell through
// [tabular.Guard].
func (s *Site) exportUsers(c *gin.Context, admin *roster.User) error {
	filter := readUserSearch(c).filter()
	filter.Order, filter.Reversed = storage.ByAge, false // by the primary key: no sort a page
	ctx := c.Request.Context()
	if err := s.Store.NoteExport(ctx, entry(c, admin)); err != nil {
		return err
	}
	return s.writeUsers(ctx, newAttachment(c, "users.csv", "text/csv; charset=utf-8"), filter)
}

func (s *Site) writeUsers(ctx context.Context, w io.Writer, filter storage.UserFilter) error {
	sheet := csv.NewWriter(w)
	sheet.UseCRLF = true
	if err := sheet.Write(exportColumns); err != nil { // kept back until the first users are there
		return fmt.Errorf("write users: %w", err)
	}
	for filter.Limit = exportPage; ; {
		users, err := s.Store.Users(ctx, filter)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := sheet.Write(exportRow(u)); err != nil {
				return fmt.Errorf("write users: %w", err)
			}
		}
		if sheet.Flush(); sheet.Error() != nil {
			return fmt.Errorf("write users: %w", sheet.Error())
		}
		if len(users) < exportPage {
			return nil
		}
		filter.After = users[len(users)-1].ID
	}
}

func exportRow(u *roster.User) []string {
	invitation := roster.Invitation{}
	if u.Invitation != nil {
		invitation = *u.Invitation
	}
	row := []string{
		u.Email, u.Name, string(u.Role), u.Department, string(u.Status),
		string(invitation.Status), exactly(invitation.SentAt), exactly(invitation.ExpiresAt), exactly(&u.CreatedAt),
	}
	for i, cell := range row {
		row[i] = tabular.Guard(cell)
	}
	return row
}

// exactly is a time as programs read it (RFC 3339), "" for none.
func exactly(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
