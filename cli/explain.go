package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"rollcall/cli/terminal"
	"rollcall/client"
	"rollcall/config"
	"rollcall/storage"
)

// explain writes an error as one block: what happened, why, what to do.
func explain(w io.Writer, err error) {
	headline, details := explanation(err)
	fmt.Fprintln(w, "Error: "+capped(headline))
	for _, line := range details {
		fmt.Fprintln(w, "  "+line)
	}
}

func explanation(err error) (headline string, details []string) {
	if usage, ok := errors.AsType[usageError](err); ok {
		return terminal.Visible(usage.message), []string{fmt.Sprintf("Run '%s --help' for how to use it.", usage.command)}
	}
	if faults, ok := errors.AsType[config.Faults](err); ok {
		lines := strings.Split(faults.Error(), "\n  ")
		return lines[0], lines[1:]
	}
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		return terminal.Visible(problem.Title), problemLines(problem)
	}
	switch text := terminal.Visible(err.Error()); {
	case errors.Is(err, context.Canceled):
		return "interrupted", nil
	case errors.As(err, new(*client.Unanswered)):
		return text, []string{"Is that the right address? It comes from --url, or else from ROLLCALL_URL."}
	case errors.Is(err, client.ErrNotRollcall), errors.Is(err, client.ErrAddress):
		return text, []string{"The address comes from --url, or else from ROLLCALL_URL."}
	case errors.Is(err, storage.ErrRefused):
		return "the database does not let us in", []string{
			strings.TrimPrefix(text, storage.ErrRefused.Error()+" "),
			"Are user, password, database and sslmode in DATABASE_URL right?",
		}
	case errors.Is(err, storage.ErrUnavailable):
		return "the database does not answer", []string{
			strings.TrimPrefix(text, storage.ErrUnavailable.Error()+" "),
			"Is DATABASE_URL right, and PostgreSQL running?",
		}
	default:
		return text, nil
	}
}

func problemLines(p *client.Problem) []string {
	var lines []string
	if p.Detail != "" && p.Detail != p.Title {
		lines = append(lines, terminal.Visible(p.Detail))
	}
	for _, e := range p.Errors {
		if e.Detail == p.Detail {
			continue
		}
		lines = append(lines, terminal.Visible(strings.TrimPrefix(e.Parameter+": "+e.Detail, ": ")))
	}
	if p.Fix != "" {
		lines = append(lines, "Fix: "+terminal.Visible(p.Fix))
	}
	if p.RequestID != "" {
		lines = append(lines, "Request: "+terminal.Visible(p.RequestID))
	}
	return lines
}

// capped begins with a capital letter, as a sentence does.
func capped(text string) string {
	for i, r := range text {
		return string(unicode.ToUpper(r)) + text[i+len(string(r)):]
	}
	return text
}
