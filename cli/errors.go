package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"rollcall/cli/termtext"
	"rollcall/client"
	"rollcall/config"
	"rollcall/storage"
)

// explain writes an error as one block: what happened, why, what to do.
func explain(w io.Writer, err error) {
	headline, details := explanation(err)
	fmt.Fprintln(w, "Error: "+headline)
	for _, line := range details {
		fmt.Fprintln(w, "  "+line)
	}
}

func explanation(err error) (headline string, details []string) {
	if usage, ok := errors.AsType[usageError](err); ok {
		return termtext.Sanitize(usage.message), []string{fmt.Sprintf("Run '%s --help' for usage.", usage.command)}
	}
	if faults, ok := errors.AsType[config.Faults](err); ok {
		lines := strings.Split(faults.Error(), "\n  ")
		return lines[0], lines[1:]
	}
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		return termtext.Sanitize(problem.Title), problemLines(problem)
	}
	switch text := termtext.Sanitize(err.Error()); {
	case errors.Is(err, context.Canceled):
		return "interrupted", nil
	case errors.As(err, new(*client.ConnectionError)):
		return text, []string{"Check the address. It comes from --url or ROLLCALL_URL."}
	case errors.Is(err, client.ErrNotRollcall), errors.Is(err, client.ErrAddress):
		return text, []string{"The address comes from --url or ROLLCALL_URL."}
	case errors.Is(err, storage.ErrRefused):
		return "the database refused the connection", []string{
			strings.TrimPrefix(text, storage.ErrRefused.Error()+" "),
			"Check the user, password, database and sslmode in DATABASE_URL.",
		}
	case errors.Is(err, storage.ErrUnavailable):
		return "the database is not responding", []string{
			strings.TrimPrefix(text, storage.ErrUnavailable.Error()+" "),
			"Check DATABASE_URL, and that PostgreSQL is running.",
		}
	default:
		return text, nil
	}
}

func problemLines(p *client.Problem) []string {
	var lines []string
	if p.Detail != "" && p.Detail != p.Title {
		lines = append(lines, termtext.Sanitize(p.Detail))
	}
	for _, e := range p.Errors {
		if e.Detail == p.Detail {
			continue
		}
		lines = append(lines, termtext.Sanitize(strings.TrimPrefix(e.Parameter+": "+e.Detail, ": ")))
	}
	if p.Fix != "" {
		lines = append(lines, "Fix: "+sentence(p.Fix))
	}
	if p.RequestID != "" {
		lines = append(lines, "Request ID: "+termtext.Sanitize(p.RequestID))
	}
	return lines
}

// sentence makes what a server said safe to print, and ends it with a full stop.
func sentence(text string) string {
	text = termtext.Sanitize(text)
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// capped capitalizes the first letter.
func capped(text string) string {
	for i, r := range text {
		return string(unicode.ToUpper(r)) + text[i+len(string(r)):]
	}
	return text
}
