// Package config reads the environment into a Config. Struct tags give every
// variable its default, its bounds and the commands that read it; parsing, error
// messages, the printed form and docs/configuration.md come from these tags.
//
// Every variable NAME can also be given as NAME_FILE, the path of a file that
// holds the value; one line break at its end is dropped. An empty variable
// counts as unset, unless its description says otherwise. All errors are
// reported together, and no error, log message or printed Config shows the value
// of a secret.
package config
