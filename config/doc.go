// Package config reads the environment into a Config: every variable, its
// default, its bounds and which commands read it stand in the tags of one
// struct, and from these come the parsing, the faults, the printed form and
// the table of the README.
//
// Every variable NAME can also be given as NAME_FILE, the path of a file that
// holds the value; one line break at its end is dropped. An empty variable
// counts as unset, unless its description says otherwise. All faults are
// reported together, and no fault, no log line and no printed Config shows the
// value of a secret.
package config
