package cli

import (
	"fmt"
	"strings"
	"time"

	"rollcall/cli/terminal"
	"rollcall/client"
)

// firstErrors is how many refused rows the summary shows.
const firstErrors = 5

// summaryFacts are what a summary tells beside the import itself.
type summaryFacts struct {
	file   string // its name
	report string // a sentence about the error report, "" for none
	page   string // where the import is shown
}

// summary says what became of an import: a sentence, what else is to be known,
// the first refused rows, and where there is more.
func summary(i *client.Import, f summaryFacts) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	for _, sentence := range outcome(i, f) {
		line("%s", sentence)
	}
	if sentence := invitations(i); sentence != "" {
		line("%s", sentence)
	}
	if i.Admins > 0 && i.Status == client.Ready {
		line("%s the role admin.", counted(i.Admins, "valid row asks for", "valid rows ask for"))
	}
	for _, w := range i.Warnings {
		line("Warning: %s", terminal.Visible(w.Message))
	}
	if len(i.Errors) > 0 {
		line("")
		for _, e := range i.Errors[:min(len(i.Errors), firstErrors)] {
			for _, l := range rowError(e) {
				line("%s", l)
			}
		}
		if more := i.Failed - firstErrors; more > 0 {
			line("  … and %s", counted(more, "more row", "more rows"))
		}
		line("")
	}
	if f.report != "" {
		line("%s", f.report)
	}
	line("Details: %s", f.page)
	return out.String()
}

// outcome is the sentence that matters, and advice.
func outcome(i *client.Import, f summaryFacts) []string {
	file, total := terminal.Visible(f.file), i.Processed
	if i.Total != nil {
		total = *i.Total
	}
	rows := counted(total, "row", "rows")
	switch i.Status {
	case client.Completed:
		if total == 0 {
			return []string{fmt.Sprintf("%s has a header and no rows: there was nothing to import.", file)}
		}
		text := fmt.Sprintf("Imported %s of %s of %s", grouped(i.Imported), rows, file)
		if i.Updated > 0 {
			text += fmt.Sprintf(", updated %s", grouped(i.Updated))
		}
		if i.Failed > 0 {
			text += fmt.Sprintf(", left out %s", grouped(i.Failed))
		}
		return []string{text + took(i) + "."}
	case client.Ready:
		text := fmt.Sprintf("Checked %s of %s: %s can go in, %s cannot.", rows, file, grouped(i.Valid), grouped(i.Failed))
		return []string{text, "This was a dry run: nothing is written. Import without --dry-run, or confirm it on the page below."}
	case client.Canceled:
		return []string{fmt.Sprintf("The import of %s was canceled: %s of %s are in and stay in, %s left out, %s untouched.",
			file, grouped(i.Imported+i.Updated), rows, grouped(i.Failed), grouped(i.Unprocessed))}
	case client.Failed:
		if i.Failure == nil {
			return []string{fmt.Sprintf("The import of %s failed: nothing is written.", file)}
		}
		return []string{
			fmt.Sprintf("The import of %s failed, nothing is written: %s (%s)", file, terminal.Visible(i.Failure.Message), terminal.Visible(i.Failure.Code)),
			"Fix: " + terminal.Visible(i.Failure.Fix),
		}
	default: // it was not waited for
		return []string{fmt.Sprintf("%s is committed; the import goes on (%s).", file, terminal.Visible(string(i.Status)))}
	}
}

// took tells how long the server was at it, from the upload to the end.
func took(i *client.Import) string {
	if i.FinishedAt == nil {
		return ""
	}
	if d := i.FinishedAt.Sub(i.CreatedAt); d >= time.Second {
		return ", in " + span(d)
	}
	return ", in less than a second"
}

// invitations tells where the mails are, "" if there are none.
func invitations(i *client.Import) string {
	v := i.Invitations
	var parts []string
	add := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, grouped(n)+" "+what)
		}
	}
	add(v.Sent, "sent")
	add(v.Accepted, "accepted")
	add(v.Pending, "on their way")
	add(v.Failed, "failed")
	add(v.Held, "held back until they are resent")
	if len(parts) == 0 {
		return ""
	}
	return "Invitations: " + strings.Join(parts, ", ") + "."
}

// rowError is a refused row: where, what and how to mend it.
func rowError(e client.RowError) []string {
	where := fmt.Sprintf("Row %d", e.Row)
	if e.Field != "" {
		where += ", " + terminal.Visible(e.Field)
	}
	if value := short(e.Value); value != "" {
		where += fmt.Sprintf(" “%s”", value)
	}
	lines := []string{fmt.Sprintf("  %s: %s", where, terminal.Visible(e.Message))}
	for _, also := range e.Also {
		lines = append(lines, "    Also: "+terminal.Visible(also.Message))
	}
	return append(lines, "    Fix: "+terminal.Visible(e.Fix))
}

// short keeps a cell from filling the screen.
func short(value string) string {
	const most = 60
	value = terminal.Visible(value)
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return value
}
