package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Logger returns a logger with the configured format and level. isTerminal says
// whether w is a terminal.
func (c Config) Logger(w io.Writer, isTerminal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" || c.LogFormat == "" && isTerminal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// String returns NAME=value for every variable that is not zero, secrets as
// "(set)".
func (c Config) String() string {
	var pairs []string
	for _, a := range c.attrs() {
		pairs = append(pairs, a.String())
	}
	return strings.Join(pairs, " ")
}

// Format prints String for every verb, so that %#v hides secrets too.
func (c Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue returns the group of every variable that is not zero, secrets as
// "(set)".
func (c Config) LogValue() slog.Value { return slog.GroupValue(c.attrs()...) }

func (c Config) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, f := range fields() {
		if value := f.in(&c); !value.IsZero() {
			attrs = append(attrs, slog.String(f.name(), fmt.Sprint(value.Interface())))
		}
	}
	return attrs
}
