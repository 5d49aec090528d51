package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// program is a command that reads the environment.
type program string

const (
	programAPI     program = "api"
	programWorker  program = "worker"
	programMigrate program = "migrate"
	programToken   program = "token"
	programUser    program = "user"
	programImport  program = "import"
	programBounce  program = "bounce"
	programDev     program = "dev"
)

// Variable describes one variable of the environment.
type Variable struct {
	Name       string   // such as ROLLCALL_LISTEN; also read from Name_FILE and the credential rollcall_Name
	Default    string   // in words where it depends on the machine or the program; empty: none
	Meaning    string   // one line
	ReadBy     []string // commands: api, worker, migrate, token, user, import, bounce, dev
	RequiredBy []string // those of ReadBy that refuse to start without it
	Secret     bool     // never shown
}

// Describe returns every variable, in the order of Config.
func Describe() []Variable {
	variables := make([]Variable, 0, len(fields()))
	for _, f := range fields() {
		variables = append(variables, Variable{
			Name:       f.name(),
			Default:    f.describeDefault(),
			Meaning:    f.tag("about"),
			ReadBy:     strings.Fields(f.tag("read")),
			RequiredBy: strings.Fields(f.tag("required")),
			Secret:     f.secret(),
		})
	}
	return variables
}

// Markdown returns the table in docs/configuration.md: every variable, its
// default and its meaning.
func Markdown() string {
	var table strings.Builder
	table.WriteString("| variable | default | meaning | read by |\n|---|---|---|---|\n")
	for _, v := range Describe() {
		fallback := "–"
		switch {
		case len(v.RequiredBy) > 0:
			fallback = "– (required by " + strings.Join(v.RequiredBy, ", ") + ")"
		case strings.Contains(v.Default, " "):
			fallback = v.Default
		case v.Default != "":
			fallback = "`" + v.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", v.Name, fallback, v.Meaning, strings.Join(v.ReadBy, ", "))
	}
	return table.String()
}

// field is a field of Config and its tags.
type field reflect.StructField

// fields returns the fields of Config, in order.
func fields() []field {
	t := reflect.TypeFor[Config]()
	all := make([]field, t.NumField())
	for i := range all {
		all[i] = field(t.Field(i))
	}
	return all
}

func (f field) tag(key string) string { return f.Tag.Get(key) }

func (f field) name() string { return f.tag("env") }

// in returns the field's value in c.
func (f field) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.Index) }

func (f field) readBy(p program) bool {
	return slices.Contains(strings.Fields(f.tag("read")), string(p))
}

func (f field) requiredBy(p program) bool {
	return slices.Contains(strings.Fields(f.tag("required")), string(p))
}

// secret reports whether the value must not be shown.
func (f field) secret() bool {
	return f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[Secrets]()
}

// defaultFor returns the default for a program; empty: none.
func (f field) defaultFor(p program) string {
	if own, ok := f.Tag.Lookup("default_" + string(p)); ok {
		return own
	}
	return f.tag("envDefault")
}

func (f field) describeDefault() string {
	if words := f.tag("doc_default"); words != "" {
		return words
	}
	text := f.tag("envDefault")
	for _, p := range strings.Fields(f.tag("read")) {
		if own, ok := f.Tag.Lookup("default_" + p); ok {
			text += fmt.Sprintf(" (%s: %s)", p, own)
		}
	}
	return text
}
