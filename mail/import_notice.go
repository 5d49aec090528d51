package mail

import (
	"fmt"
	"time"

	"rollcall/internal/humanize"
	"rollcall/internal/i18n"
	"rollcall/roster"
)

// EndedImport is what a mail says about an import that has ended: counts, and
// nothing from the file or its name, because the recipients may be anyone.
type EndedImport struct {
	Status    roster.Status
	Failure   roster.Code // of one that failed
	StartedAt time.Time

	Imported, Updated, Unchanged, Disabled, Failed int64

	Link string // absolute http or https URL of the import's page
}

// RenderImportEnded renders the mail to an address that is told about an import.
// The only error is [ErrLink].
func RenderImportEnded(n Notice, i EndedImport) (Message, error) {
	subject, text := "An import into %s is complete", "is complete"
	switch {
	case i.Status == roster.Failed:
		subject, text = "An import into %s failed", "failed ("+string(i.Failure)+"). Nothing was imported"
	case i.Status == roster.Canceled:
		subject, text = "An import into %s was canceled", "was canceled. Rows imported before that were kept"
	case i.Failed > 0:
		subject, text = "An import into %s is complete, with failed rows", "is complete, but some rows failed"
	}
	lines := []string{fmt.Sprintf("The import into %s that was started on %s %s.", n.brand(), exactTime(i.StartedAt), text)}
	if i.Status != roster.Failed {
		for _, c := range []struct {
			n         int64
			one, many string
			always    bool
		}{
			{i.Imported, "user created", "users created", true}, {i.Updated, "user updated", "users updated", false},
			{i.Unchanged, "user unchanged", "users unchanged", false}, {i.Disabled, "user disabled", "users disabled", false},
			{i.Failed, "failed row", "failed rows", true},
		} {
			if c.n > 0 || c.always {
				lines = append(lines, humanize.Count(c.n, c.one, c.many))
			}
		}
	}
	return n.renderLink(subject, i.Link, append(lines, "See the results:")...)
}

// MissedImport is what a mail says about an import that did not come.
type MissedImport struct {
	Token, Source string
	Every         time.Duration
	Since         time.Time // when the last one completed, or the token was created
	Link          string    // absolute http or https URL of the page of the tokens
}

// RenderImportMissed renders that mail. The only error is [ErrLink].
func RenderImportMissed(n Notice, i MissedImport) (Message, error) {
	return n.renderLink("An expected import into %s didn't arrive", i.Link,
		fmt.Sprintf("The API token “%s” (source %s) should complete an import every %s, but none has since %s.",
			singleLine(i.Token, maxNoticeText), i.Source, i18n.Reader{}.Remaining(i.Every), exactTime(i.Since)),
		"Check the job that uploads the file, and whether the token still works. You get one email about this until an import completes again:")
}
