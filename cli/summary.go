package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"rollcall/apitypes"
	"rollcall/cli/termtext"
	"rollcall/client"
	"rollcall/internal/humanize"
	"rollcall/roster"
)

// firstErrors is how many failed rows the summary shows.
const firstErrors = 5

// summaryFacts is what a summary needs besides the import.
type summaryFacts struct {
	file   string // its name
	report string // a sentence about the error report, "" for none
	page   string // where the import is shown
}

// summary describes the result of an import: a sentence, important details, the
// first failed rows, and where to find the rest.
func summary(i *client.Import, f summaryFacts) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	for _, sentence := range outcome(i, f) {
		line("%s", sentence)
	}
	if sentence := invitations(i); sentence != "" {
		line("%s", sentence)
	}
	if i.Admins > 0 && i.Status == roster.Ready {
		line("%s the role admin.", humanize.Count(i.Admins, "valid row has", "valid rows have"))
	}
	for _, w := range i.Warnings {
		for _, l := range warning(w) {
			line("%s", l)
		}
	}
	if len(i.Errors) > 0 {
		line("")
		for _, e := range i.Errors[:min(len(i.Errors), firstErrors)] {
			for _, l := range rowError(e) {
				line("%s", l)
			}
		}
		if more := i.Failed - firstErrors; more > 0 {
			line("  … and %s", humanize.Count(more, "more row", "more rows"))
		}
		line("")
	}
	if f.report != "" {
		line("%s", f.report)
	}
	line("Details: %s", f.page)
	return out.String()
}

// outcome is the main sentence, with advice.
func outcome(i *client.Import, f summaryFacts) []string {
	file, total := termtext.Sanitize(f.file), i.Processed
	if i.Total != nil {
		total = *i.Total
	}
	rows := humanize.Count(total, "row", "rows")
	switch i.Status {
	case roster.Completed:
		if total == 0 {
			return []string{fmt.Sprintf("%s has no rows: nothing to import.", file)}
		}
		text := fmt.Sprintf("Imported %s of %s of %s", humanize.Number(i.Imported), rows, file)
		if i.Updated > 0 {
			text += fmt.Sprintf(", updated %s", humanize.Number(i.Updated))
		}
		if i.Unchanged > 0 {
			text += fmt.Sprintf(", %s unchanged", humanize.Number(i.Unchanged))
		}
		if i.Disabled > 0 {
			text += fmt.Sprintf(", %s no longer in the file disabled", humanize.Number(i.Disabled))
		}
		if i.Failed > 0 {
			text += fmt.Sprintf(", %s failed", humanize.Number(i.Failed))
		}
		return []string{text + took(i) + "."}
	case roster.Ready:
		text := fmt.Sprintf("Checked %s of %s: %s valid, %s failed.", rows, file, humanize.Number(i.Valid), humanize.Number(i.Failed))
		return []string{text, "This was a dry run; nothing was imported. Run it without --dry-run, or confirm it on the page below."}
	case roster.Held:
		text := fmt.Sprintf("The import of %s is held: it would disable %s, more than the safety limit allows.", file, humanize.Count(i.Plan.Disable, "user", "users"))
		return []string{text, "Nothing was imported. An administrator has to approve or discard it on the page below."}
	case roster.Canceled:
		return []string{fmt.Sprintf("The import of %s was canceled: %s of %s imported and kept, %s failed, %s not processed.",
			file, humanize.Number(i.Imported+i.Updated+i.Unchanged), rows, humanize.Number(i.Failed), humanize.Number(*cmp.Or(i.Unprocessed, new(int64))))}
	case roster.Failed:
		if i.Failure == nil {
			return []string{fmt.Sprintf("The import of %s failed; nothing was imported.", file)}
		}
		lines := []string{
			fmt.Sprintf("The import of %s failed; nothing was imported: %s (%s)", file, termtext.Sanitize(i.Failure.Message), termtext.Sanitize(string(i.Failure.Code))),
			"Fix: " + sentence(i.Failure.Fix),
		}
		if flags := suggestedFlags(i.Failure.Mapping, i.Failure.Encoding, i.Failure.Delimiter, i.Failure.HeaderRow); flags != "" {
			lines = append(lines, "Try again with: "+flags)
		}
		return lines
	default: // --no-wait
		return []string{fmt.Sprintf("Uploaded %s; the import continues in the background (%s).", file, termtext.Sanitize(string(i.Status)))}
	}
}

// took is how long the import took on the server, from the upload to the end.
func took(i *client.Import) string {
	if i.FinishedAt == nil {
		return ""
	}
	if d := i.FinishedAt.Sub(i.CreatedAt); d >= time.Second {
		return ", in " + span(d)
	}
	return ", in less than a second"
}

// invitations describes the state of the emails, "" if there are none.
func invitations(i *client.Import) string {
	v := i.Invitations
	var parts []string
	add := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, humanize.Number(n)+" "+what)
		}
	}
	add(v.Sent, "sent")
	add(v.Accepted, "accepted")
	add(v.Pending, "queued")
	add(v.Failed, "failed")
	add(v.Bounced, "bounced")
	add(v.Held, "on hold until resent")
	add(v.Reminders, "reminders sent")
	if len(parts) == 0 {
		return ""
	}
	return "Invitations: " + strings.Join(parts, ", ") + "."
}

// rowError describes a failed row: where, what and how to fix it.
func rowError(e apitypes.RowError) []string {
	where := fmt.Sprintf("Row %d", e.Row)
	if e.Field != nil {
		where += ", " + termtext.Sanitize(string(*e.Field))
	}
	if e.Value != nil && *e.Value != "" {
		where += fmt.Sprintf(" “%s”", short(*e.Value))
	}
	lines := []string{fmt.Sprintf("  %s: %s", where, termtext.Sanitize(e.Message))}
	for _, also := range e.Also {
		lines = append(lines, "    Also: "+termtext.Sanitize(also.Message))
	}
	if e.Suggestion != nil {
		lines = append(lines, fmt.Sprintf("    Did you mean “%s”?", short(*e.Suggestion)))
	}
	return append(lines, "    Fix: "+sentence(e.Fix))
}

// short truncates a cell so that it does not fill the screen.
func short(value string) string {
	const most = 60
	value = termtext.Sanitize(value)
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return value
}
