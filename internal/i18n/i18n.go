// Package i18n has the texts of mails and public pages in several languages, and
// chooses the language of a reader. Texts are in the files of catalog, one for each
// language, with plural forms by the rules of CLDR.
package i18n

import (
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

//go:embed catalog/*.json
var catalogFiles embed.FS

// Default is the language of texts if nothing else is known.
const Default = "en"

// languages lists the languages that there are texts in, the default first.
var languages = []string{Default, "de", "fr", "es", "it", "pt", "nl", "pl"}

// names are the names of the languages, in English.
var names = map[string]string{
	"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch", "pl": "Polish",
}

// Languages lists the languages that there are texts in, the default first.
func Languages() []string { return slices.Clone(languages) }

// Name is the English name of a language of [Languages].
func Name(lang string) string { return names[lang] }

// text is one text of a language.
type text struct {
	plain  string // of a text without arguments
	params int    // of a text with arguments
}

var (
	texts   = map[string]map[string]text{} // by language and key
	matcher = language.NewMatcher(tags(languages))

	printers = map[string]*message.Printer{} // by language
)

func tags(names []string) (tags []language.Tag) {
	for _, name := range names {
		tags = append(tags, language.MustParse(name))
	}
	return tags
}

func init() {
	if err := load(); err != nil {
		panic(err) // the files are part of the program, and a test reads them
	}
}

// form is a text in a file: a string, or an object of plural forms. Which one
// counts is decided by the number {n}.
type form struct {
	text  string
	forms map[string]string
}

func (f *form) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &f.text) == nil {
		return nil
	}
	return json.Unmarshal(raw, &f.forms)
}

func (f form) all() []string {
	if f.forms == nil {
		return []string{f.text}
	}
	return slices.Collect(maps.Values(f.forms))
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

func load() error {
	english, err := read(Default)
	if err != nil {
		return err
	}
	params := map[string][]string{} // of each key, in the order of the English text
	for key, f := range english {
		for _, s := range f.all() {
			for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
				if !slices.Contains(params[key], m[1]) {
					params[key] = append(params[key], m[1])
				}
			}
		}
	}
	builder := catalog.NewBuilder(catalog.Fallback(language.English))
	for _, lang := range languages {
		forms, err := read(lang)
		if err != nil {
			return err
		}
		texts[lang] = map[string]text{}
		for key := range english {
			f, ok := forms[key]
			if !ok {
				return fmt.Errorf("the texts in %q lack %s", lang, key)
			}
			if texts[lang][key], err = add(builder, language.MustParse(lang), key, f, params[key]); err != nil {
				return fmt.Errorf("the text %s in %q: %w", key, lang, err)
			}
		}
		if len(forms) > len(english) {
			return fmt.Errorf("there are texts in %q that are not in English", lang)
		}
		printers[lang] = message.NewPrinter(language.MustParse(lang), message.Catalog(builder))
	}
	return nil
}

func read(lang string) (forms map[string]form, err error) {
	raw, err := catalogFiles.ReadFile("catalog/" + lang + ".json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &forms); err != nil {
		return nil, fmt.Errorf("read texts in %q: %w", lang, err)
	}
	return forms, nil
}

// add adds a text to the catalog: placeholders become the arguments in the order
// of params.
func add(builder *catalog.Builder, tag language.Tag, key string, f form, params []string) (text, error) {
	if f.forms == nil && len(params) == 0 {
		return text{plain: f.text}, nil
	}
	var unknown string
	format := func(s string) string {
		return placeholder.ReplaceAllStringFunc(strings.ReplaceAll(s, "%", "%%"), func(name string) string {
			i := slices.Index(params, strings.Trim(name, "{}"))
			if i < 0 {
				unknown = name
			}
			return fmt.Sprintf("%%[%d]v", i+1)
		})
	}
	msg := catalog.Message(catalog.String(format(f.text)))
	if f.forms != nil {
		n := slices.Index(params, "n")
		if n < 0 {
			return text{}, fmt.Errorf("plural forms without {n}")
		}
		var cases []any
		for _, name := range []string{"one", "two", "few", "many", "other"} { // other last: the first that fits counts
			if s, ok := f.forms[name]; ok {
				cases = append(cases, name, format(s))
			}
		}
		msg = plural.Selectf(n+1, "%d", cases...)
	}
	if unknown != "" {
		return text{}, fmt.Errorf("the English text has no %s", unknown)
	}
	return text{params: len(params)}, builder.Set(tag, key, msg)
}

// Reader is a language, and the usage of a region in it. The zero value is
// [Default].
type Reader struct {
	lang string // of languages
	tag  string // as wanted, such as en-US
}

// For returns the reader with the first of these BCP 47 tags, such as de-CH, that is
// near a language that there are texts in. ok is false for none.
func For(locales ...string) (r Reader, ok bool) {
	for _, locale := range locales {
		tag, err := language.Parse(locale)
		if err != nil {
			continue
		}
		if r, ok := match(tag); ok {
			return r, true
		}
	}
	return Reader{}, false
}

// Accepting is [For] with an Accept-Language header.
func Accepting(header string) (r Reader, ok bool) {
	const most = 1000 // bytes; browsers send fewer than a hundred
	if len(header) > most {
		return r, false
	}
	wanted, q, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return r, false
	}
	for i, tag := range wanted {
		if q[i] <= 0 {
			continue
		}
		if r, ok := match(tag); ok {
			return r, true
		}
	}
	return r, false
}

func match(tag language.Tag) (r Reader, ok bool) {
	if base, _, _ := tag.Raw(); base.String() == "und" || base.String() == "mul" {
		return r, false
	}
	_, i, confidence := matcher.Match(tag)
	return Reader{languages[i], tag.String()}, confidence != language.No
}

// Lang is the language, of [Languages]: what the attribute lang of HTML says.
func (r Reader) Lang() string {
	if r.lang == "" {
		return Default
	}
	return r.lang
}

// Text returns a text of the catalog with arguments in the order in which the
// English text has their placeholders.
func (r Reader) Text(key string, args ...any) string {
	t, ok := texts[r.Lang()][key]
	switch {
	case !ok:
		panic("i18n: no text " + key)
	case len(args) != t.params:
		panic(fmt.Sprintf("i18n: %s has %d arguments, not %d", key, t.params, len(args)))
	case t.params == 0:
		return t.plain
	}
	return printers[r.Lang()].Sprintf(key, args...)
}

// Each argument of HTML is first replaced by a character that no text contains.
const firstStandIn = '\ue000'

// HTML is Text as HTML. Arguments that are HTML stay so, others are escaped.
func (r Reader) HTML(key string, args ...any) template.HTML {
	var replace []string
	given := slices.Clone(args)
	for i, arg := range args {
		if markup, ok := arg.(template.HTML); ok {
			standIn := string(firstStandIn + rune(i))
			given[i] = standIn
			replace = append(replace, standIn, string(markup))
		} else if s, ok := arg.(string); ok {
			given[i] = withoutStandIns(s)
		}
	}
	return template.HTML(strings.NewReplacer(replace...).Replace(html.EscapeString(r.Text(key, given...))))
}

// withoutStandIns removes characters for private use, which mean nothing here.
func withoutStandIns(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= firstStandIn && c <= '\uf8ff' {
			return -1
		}
		return c
	}, s)
}
