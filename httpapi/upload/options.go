package upload

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/userfile"
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
	optionBlank           = "blank"
	optionSource          = "source"
	optionMissing         = "missing"
	optionMaxDisable      = "max_disable"
	optionValueMap        = "value_map"
	optionProfile         = "profile"
	optionSheet           = "sheet"
	optionHeaderRow       = "header_row"
	optionNotify          = "notify"
)

var optionNames = []string{
	optionDryRun, optionOnDuplicate, optionSendInvitations, optionEncoding, optionDelimiter, optionMapping, optionWebhookURL,
	optionBlank, optionSource, optionMissing, optionMaxDisable, optionValueMap, optionProfile, optionSheet, optionHeaderRow, optionNotify,
}

// optionSet collects the options of a request. Each may be given once, as a part
// or as a query parameter: with two values, either could be the one that is meant.
type optionSet struct {
	options roster.Options
	rights  Rights
	given   []string // names given so far
	filled  []string // those of them that are not blank
	profile string   // the name of the profile to take the other options from; "" for none
	ignored []string // names of parts and parameters that are not options
}

// ignore records the name of a part or parameter that is not an option.
func (w *optionSet) ignore(name string) {
	if name != "" && name != browserCharset && !slices.Contains(w.ignored, name) {
		w.ignored = append(w.ignored, name)
	}
}

func newOptionSet(rights Rights) optionSet {
	o := roster.Options{OnDuplicate: roster.SkipDuplicates, SendInvitations: true, Source: sourceOption(rights.Source), Attributes: rights.Attributes}
	return optionSet{rights: rights, options: o}
}

// query reads the options from the query.
func (w *optionSet) query(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return problem.New(problem.InvalidParameter, "Malformed query string.")
	}
	for _, name := range sortedNames(values) {
		option, known, err := optionName(name)
		switch {
		case err != nil:
			return err
		case !known:
			w.ignore(name)
			continue
		case len(values[name]) > 1:
			return problem.Parameter(option, "%s is set more than once.", option)
		}
		if err := w.part(option, values[name][0]); err != nil {
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

// part reads one option from a part of the form, or from the query.
func (w *optionSet) part(option, value string) error {
	if slices.Contains(w.given, option) {
		return problem.Parameter(option, "%s is set more than once.", option)
	}
	w.given = append(w.given, option)
	if value != "" {
		w.filled = append(w.filled, option)
	}
	return w.set(option, value)
}

// set parses the value of one option.
func (w *optionSet) set(option, value string) error {
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
	case optionBlank:
		blank, ok := roster.ParseBlank(strings.TrimSpace(value))
		if !ok {
			return problem.Parameter(option, "blank must be keep or clear.")
		}
		if o.Blank = blank; blank == roster.BlankKeep {
			o.Blank = "" // said or not, it is the same wish
		}
	case optionMissing:
		missing, ok := roster.ParseMissing(strings.TrimSpace(value))
		if !ok {
			return problem.Parameter(option, "missing must be keep or disable.")
		}
		if o.Missing = missing; missing == roster.MissingKeep {
			o.Missing = "" // said or not, it is the same wish
		}
	case optionMaxDisable:
		if o.MaxDisable = strings.TrimSpace(value); o.MaxDisable != "" && !roster.ValidMaxDisable(o.MaxDisable) {
			return problem.Parameter(option, "max_disable must be a whole number of users or a percentage, such as 20%%.")
		}
	case optionSheet:
		return setSheet(value, &o.Sheet)
	case optionHeaderRow:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || n < 1 || n > roster.MaxHeaderRow {
			return problem.Parameter(option, "header_row must be the number of a row, from 1 to %d.", roster.MaxHeaderRow)
		}
		o.HeaderRow = n
	case optionSource:
		return w.setSource(strings.TrimSpace(value))
	case optionEncoding:
		o.Encoding = strings.ToLower(strings.TrimSpace(value))
		if err := userfile.CheckOptions(roster.Options{Encoding: o.Encoding}); err != nil {
			return problem.Parameter(option, "encoding must be auto or a WHATWG encoding name, such as utf-8, utf-16 or windows-1252.")
		}
	case optionDelimiter:
		o.Delimiter = value // not trimmed: a tab is one
		if err := userfile.CheckOptions(roster.Options{Delimiter: value}); err != nil {
			return problem.Parameter(option, "delimiter must be a comma, semicolon, tab or pipe, or its name: comma, semicolon, tab, pipe.")
		}
	case optionMapping:
		return w.setMapping(value)
	case optionValueMap:
		var err error
		if o.ValueMap, err = roster.ParseValueMap(value, o.Columns()); err != nil {
			return problem.Parameter(option, "%s.", err)
		}
	case optionProfile:
		w.profile = strings.TrimSpace(value)
	case optionNotify:
		var err error
		if o.Notify, err = roster.ParseNotify(value); err != nil {
			return problem.Parameter(option, "notify must be up to %d email addresses, separated by commas: %s", roster.MaxNotify, err)
		}
	case optionWebhookURL:
		return w.setWebhook(strings.TrimSpace(value))
	}
	return nil
}

// finish returns the options, once all are told.
func (w *optionSet) finish() (roster.Options, error) {
	if err := w.useProfile(); err != nil {
		return roster.Options{}, err
	}
	if w.options.Missing == roster.MissingDisable && w.options.OnDuplicate != roster.UpdateDuplicates {
		return roster.Options{}, problem.Parameter(optionMissing, "missing=disable requires on_duplicate=update.")
	}
	return w.options, nil
}

func (w *optionSet) setSource(source string) error {
	switch {
	case source == "": // that of the token, as if it were not said
		return nil
	case !roster.ValidSource(source):
		return problem.Parameter(optionSource, "source must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit.")
	case source != cmp.Or(w.rights.Source, roster.DefaultSource) && !w.rights.AnySource:
		return problem.New(problem.InsufficientScope, "This token imports from the source %s. Naming another requires the scope admin.", cmp.Or(w.rights.Source, roster.DefaultSource)).
			With("WWW-Authenticate", `Bearer realm="rollcall", error="insufficient_scope", scope="admin"`)
	}
	w.options.Source = sourceOption(source)
	return nil
}

// sourceOption is "" for the default source: said or not, it is the same wish.
func sourceOption(source string) string {
	if source == roster.DefaultSource {
		return ""
	}
	return source
}

func (w *optionSet) setWebhook(url string) error {
	if url != "" {
		if w.rights.Webhooks.CheckURL == nil {
			return problem.Parameter(optionWebhookURL, "webhook_url isn't supported here.")
		}
		if err := w.rights.Webhooks.CheckURL(url); err != nil {
			return problem.Parameter(optionWebhookURL, "webhook_url is invalid: %s.", err)
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

// setSheet reads the name of a sheet, which is compared without white space around it.
func setSheet(value string, into *string) error {
	value = strings.TrimSpace(value)
	if len(value) > roster.MaxSheetName || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return problem.Parameter(optionSheet, "sheet must be the name of a sheet of the workbook, at most %d bytes of UTF-8.", roster.MaxSheetName)
	}
	*into = value
	return nil
}

// maxNameHeaders bounds how many columns a name can be combined from.
const maxNameHeaders = 5

// setMapping reads a JSON object that maps our columns to a header of the file
// or, for the name, to a list of headers.
func (w *optionSet) setMapping(value string) error {
	w.options.Mapping = nil
	if strings.TrimSpace(value) == "" {
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &given); err != nil {
		return problem.Parameter(optionMapping, mappingForm)
	}
	mapping, taken := make(map[string]string, len(given)), map[string]bool{}
	for column, raw := range given {
		headers, err := mappedHeaders(column, raw)
		if err != nil {
			return err
		}
		for _, header := range headers {
			if err := checkMapped(column, header, taken, w.options.Columns()); err != nil {
				return err
			}
		}
		mapping[column] = string(roster.JoinHeaders(headers...))
	}
	if len(mapping) > 0 {
		w.options.Mapping = mapping
	}
	return nil
}

const mappingForm = `mapping must be a JSON object of strings or lists of strings, such as {"email": "Work email", "name": ["First name", "Last name"]}.`

// mappedHeaders reads one header, or a list of them for the name.
func mappedHeaders(column string, raw json.RawMessage) ([]string, error) {
	var header string
	if err := json.Unmarshal(raw, &header); err == nil {
		return []string{header}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, problem.Parameter(optionMapping, mappingForm)
	}
	if column != string(roster.ColumnName) {
		return nil, problem.Parameter(optionMapping, "mapping gives a list of headers for %s; only the name can be made of several columns.", roster.TruncateValue(column))
	}
	if len(list) == 0 || len(list) > maxNameHeaders {
		return nil, problem.Parameter(optionMapping, "mapping must give 1 to %d headers for the name.", maxNameHeaders)
	}
	return list, nil
}

func checkMapped(column, header string, taken map[string]bool, columns []roster.Column) error {
	switch {
	case !slices.Contains(columns, roster.Column(column)):
		return problem.Parameter(optionMapping, "mapping contains an unknown column %q; the columns are %s.", roster.TruncateValue(column), columnList(columns))
	case strings.TrimSpace(header) == "":
		return problem.Parameter(optionMapping, "mapping has an empty header for %s; leave the column out instead.", column)
	case strings.ContainsAny(header, "\x00\x1f"): // no file has them, and the database cannot store NUL
		return problem.Parameter(optionMapping, "mapping has a NUL or another control character in the header for %s.", column)
	case taken[header]:
		return problem.Parameter(optionMapping, "mapping uses the same header for two columns.")
	}
	taken[header] = true
	return nil
}

// columnList lists columns for a sentence.
func columnList(columns []roster.Column) string {
	names := make([]string, len(columns))
	for k, column := range columns {
		names[k] = string(column)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// idempotencyKey reads the header of that name, "" for none. It may have up to
// 255 printable ASCII characters and is used literally, including quotes.
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
