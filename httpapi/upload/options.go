package upload

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall/httpapi/problem"
	"rollcall/intake"
	"rollcall/roster"
)

// maxValue bounds the value of one option, in bytes.
const maxValue = 64 << 10

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// The names of the options, as parts and as query parameters.
const (
	optionDryRun          = "dry_run"
	optionOnDuplicate     = "on_duplicate"
	optionSendInvitations = "send_invitations"
	optionEncoding        = "encoding"
	optionDelimiter       = "delimiter"
	optionMapping         = "mapping"
	optionWebhookURL      = "webhook_url"
)

var optionNames = []string{
	optionDryRun, optionOnDuplicate, optionSendInvitations, optionEncoding, optionDelimiter, optionMapping, optionWebhookURL,
}

// wishes gathers the options of a request. A part wins over the query parameter
// of the same name.
type wishes struct {
	options roster.Options
	hooks   Webhooks
	parts   []string // names already given as parts
}

func newWishes(hooks Webhooks) wishes {
	return wishes{hooks: hooks, options: roster.Options{OnDuplicate: roster.SkipDuplicates, SendInvitations: true}}
}

// query takes the options from the query.
func (w *wishes) query(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return problem.New(problem.InvalidParameter, "The query of the address cannot be read.")
	}
	for _, name := range sortedNames(values) {
		option, known, err := recognize(name)
		switch {
		case err != nil:
			return err
		case !known:
			continue
		case len(values[name]) > 1:
			return problem.Parameter(option, "%s is given more than once.", option)
		}
		if err := w.set(option, values[name][0]); err != nil {
			return err
		}
	}
	return nil
}

func sortedNames(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// part takes one option from a part of the form.
func (w *wishes) part(option, value string) error {
	if slices.Contains(w.parts, option) {
		return problem.Parameter(option, "%s is given more than once.", option)
	}
	w.parts = append(w.parts, option)
	return w.set(option, value)
}

// recognize tells whether a name is an option. One that is not is no error,
// since forms carry all sorts of fields; but one that is an option in another
// spelling is: dryRun=true must not start a real import.
func recognize(name string) (option string, known bool, err error) {
	if slices.Contains(optionNames, name) {
		return name, true, nil
	}
	for _, option := range optionNames {
		if plain(option) == plain(name) {
			return "", false, problem.Parameter(option, "A parameter is spelt differently than %s; parameters are lower-case words with underscores.", option)
		}
	}
	return "", false, nil
}

func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}

// set reads the value of one option.
func (w *wishes) set(option, value string) error {
	o := &w.options
	switch option {
	case optionDryRun:
		return setBool(option, value, &o.DryRun)
	case optionSendInvitations:
		return setBool(option, value, &o.SendInvitations)
	case optionOnDuplicate:
		on, ok := roster.ParseOnDuplicate(strings.TrimSpace(value))
		if !ok {
			return problem.Parameter(option, "on_duplicate must be skip or update.")
		}
		o.OnDuplicate = on
	case optionEncoding:
		o.Encoding = strings.ToLower(strings.TrimSpace(value))
		if err := intake.CheckOptions(roster.Options{Encoding: o.Encoding}); err != nil {
			return problem.Parameter(option, "encoding must be auto or a name of the WHATWG Encoding Standard, such as utf-8, utf-16 or windows-1252.")
		}
	case optionDelimiter:
		o.Delimiter = value // not trimmed: a tab is one
		if err := intake.CheckOptions(roster.Options{Delimiter: value}); err != nil {
			return problem.Parameter(option, "delimiter must be a comma, a semicolon, a tab or a pipe, or its name: comma, semicolon, tab, pipe.")
		}
	case optionMapping:
		return setMapping(value, &o.Mapping)
	case optionWebhookURL:
		return w.setWebhook(strings.TrimSpace(value))
	}
	return nil
}

func (w *wishes) setWebhook(url string) error {
	if url != "" {
		if w.hooks.CheckURL == nil {
			return problem.Parameter(optionWebhookURL, "webhook_url cannot be given here.")
		}
		if err := w.hooks.CheckURL(url); err != nil {
			return problem.Parameter(optionWebhookURL, "webhook_url cannot be used: %s.", err)
		}
	}
	w.options.WebhookURL = url
	return nil
}

func setBool(option, value string, into *bool) error {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		return problem.Parameter(option, "%s must be true or false.", option)
	}
	return nil
}

// setMapping reads a JSON object from our column to a header of the file.
func setMapping(value string, into *map[string]string) error {
	*into = nil
	if strings.TrimSpace(value) == "" {
		return nil
	}
	var mapping map[string]string
	if err := json.Unmarshal([]byte(value), &mapping); err != nil {
		return problem.Parameter(optionMapping, `mapping must be a JSON object of texts, such as {"email": "Work e-mail"}.`)
	}
	taken := map[string]bool{}
	for column, header := range mapping {
		switch {
		case !slices.Contains(roster.Columns[:], roster.Column(column)):
			return problem.Parameter(optionMapping, "mapping names a column that there is not; columns are email, name, role and department.")
		case strings.TrimSpace(header) == "":
			return problem.Parameter(optionMapping, "mapping gives no header for %s; leave the column out instead.", column)
		case strings.ContainsRune(header, 0): // no file has it, and no database stores it
			return problem.Parameter(optionMapping, "mapping has a NUL character in the header for %s.", column)
		case taken[header]:
			return problem.Parameter(optionMapping, "mapping gives two columns the same header.")
		}
		taken[header] = true
	}
	if len(mapping) > 0 {
		*into = mapping
	}
	return nil
}

// idempotencyKey reads the header of that name, "" for none. It may have up to
// 255 printable ASCII characters and means what it is, quotes included.
func idempotencyKey(h http.Header) (string, error) {
	const name = "Idempotency-Key"
	values := h.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r > 0x7e })
	if len(values) > 1 || key == "" || len(key) > maxKey || !printable {
		return "", problem.Parameter(name, "Idempotency-Key must be one value of 1 to %d printable ASCII characters.", maxKey)
	}
	return key, nil
}
