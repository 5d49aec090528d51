package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

const (
	fileSuffix = "_FILE"

	// maxFileBytes bounds the size of a NAME_FILE: a larger file is a wrong
	// path.
	maxFileBytes = 64 << 10

	// credentialPrefix begins the names of credentials that systemd passes. It is
	// what LoadCredential=rollcall:DIRECTORY puts before the name of each file.
	credentialPrefix = "rollcall_"
)

// LoadAPI reads the environment of the API, given as os.Environ returns it.
// The error is Faults.
func LoadAPI(environ []string) (Config, error) { return load(programAPI, environ) }

// LoadWorker reads the environment of the worker. The error is Faults.
func LoadWorker(environ []string) (Config, error) { return load(programWorker, environ) }

// LoadMigrate reads what the migrate command needs: DATABASE_URL and the log
// settings. The error is Faults.
func LoadMigrate(environ []string) (Config, error) { return load(programMigrate, environ) }

// LoadToken reads what the token command needs: DATABASE_URL and the log
// settings. The error is Faults.
func LoadToken(environ []string) (Config, error) { return load(programToken, environ) }

// LoadUser reads what the user command needs: the database, and the settings of
// set-password links. The error is Faults.
func LoadUser(environ []string) (Config, error) { return load(programUser, environ) }

// LoadImport reads what the import command needs: the API's address and a
// token. Nothing is required, because both can be flags. The error is Faults.
func LoadImport(environ []string) (Config, error) { return load(programImport, environ) }

// LoadBounce reads what the bounce command needs: the database, and the secret that
// signs tokens. The error is Faults.
func LoadBounce(environ []string) (Config, error) { return load(programBounce, environ) }

// LoadDev reads the settings of dev. The database, Redis, the mail server and
// the secret are left unset even if the environment has them: dev starts its
// own and fills them in. The error is Faults.
func LoadDev(environ []string) (Config, error) { return load(programDev, environ) }

// load reads the variables of one program; fields it does not read stay zero.
func load(p program, environ []string) (Config, error) {
	given := env.ToMap(environ)
	effective := map[string]string{}
	var faults Faults
	for _, f := range fields() {
		if !f.readBy(p) {
			continue
		}
		value, set, fault := lookUp(f, given)
		switch {
		case fault != nil:
			faults = append(faults, *fault)
		case !set && f.requiredBy(p):
			faults = append(faults, Fault{f.name(), "is not set", "set it to " + describeValue(f)})
		}
		if !set || fault != nil {
			value = f.defaultFor(p)
		}
		effective[f.name()] = value
	}

	var c Config
	faults = append(faults, parse(&c, effective)...)
	for _, f := range fields() {
		if f.readBy(p) && effective[f.name()] != "" && !faults.about(f.name()) {
			if fault := check(f, &c); fault != nil {
				faults = append(faults, *fault)
			}
		}
	}
	if c.RequiresTLS() {
		faults = append(faults, c.insecureBeyond(faults)...)
	}
	faults = append(faults, c.unusableFrom(faults)...)
	faults = append(faults, c.unusableOAuth(faults)...)
	faults = append(faults, c.unusableBounces()...)
	faults = append(faults, c.uselessReminders(faults)...)
	if len(faults) > 0 {
		return Config{}, inOrder(faults)
	}
	c.settle(p, given)
	return c, nil
}

// lookUp returns the value of a variable, from itself, its file or its credential.
func lookUp(f field, given map[string]string) (value string, set bool, fault *Fault) {
	value, exists := given[f.name()]
	set = value != "" || exists && f.tag("empty") == "off"
	path, isCredential := valueFile(f.name(), given)
	other := f.name() + fileSuffix
	if isCredential {
		other = "the credential " + credentialPrefix + f.name()
	}
	switch {
	case path == "":
		return value, set, nil
	case value != "":
		return "", false, &Fault{f.name(), "is set twice", "keep it or " + other + ", not both"}
	}
	value, err := readFile(path)
	switch {
	case err != nil && isCredential:
		return "", false, &Fault{f.name(), "is in a credential that cannot be used (" + err.Error() + ")", "make " + other + " a readable file"}
	case err != nil:
		// Without the path, because it may be the secret itself by mistake.
		return "", false, &Fault{other, "names a file that cannot be used (" + err.Error() + ")",
			"set it to the path of a readable file that holds the value"}
	}
	return value, value != "" || f.tag("empty") == "off", nil
}

// valueFile returns the path of the file with a variable's value: NAME_FILE, or else a
// credential of systemd if there is one of that name. Empty: there is no file.
func valueFile(name string, given map[string]string) (path string, isCredential bool) {
	if path := given[name+fileSuffix]; path != "" {
		return path, false
	}
	directory := given["CREDENTIALS_DIRECTORY"] // set by systemd
	if directory == "" {
		return "", false
	}
	path = filepath.Join(directory, credentialPrefix+name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	return path, true
}

// readFile returns a file's content without the line break at its end. Its
// errors do not name the file.
func readFile(path string) (string, error) {
	content, err := readUpTo(path, maxFileBytes)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return "", pathErr.Err
	}
	if err != nil {
		return "", err
	}
	if len(content) > maxFileBytes {
		return "", fmt.Errorf("larger than %d bytes", maxFileBytes)
	}
	text := strings.TrimSuffix(string(content), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// readUpTo reads at most one byte more than limit.
func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read from
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// parse fills c with the values and reports those that do not fit their field's
// type.
//
// The library must not apply defaults, because load already has: it would also
// set fields that the program does not read, and override values that are empty
// on purpose.
func parse(c *Config, values map[string]string) (faults Faults) {
	err := env.ParseWithOptions(c, env.Options{Environment: values, DefaultValueTagName: "unused"})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	for _, one := range all.Errors {
		var bad env.ParseError
		if !errors.As(one, &bad) {
			continue
		}
		for _, f := range fields() {
			if f.Name == bad.Name {
				faults = append(faults, Fault{f.name(), "is not " + describeType(f.Type), "set it to " + describeValue(f)})
			}
		}
	}
	return faults
}

func describeType(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	case t == reflect.TypeFor[slog.Level]():
		return "a log level"
	case t.Kind() == reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// inOrder sorts faults by the order of their variables in Config.
func inOrder(faults Faults) Faults {
	position := map[string]int{}
	for i, f := range fields() {
		position[f.name()], position[f.name()+fileSuffix] = i, i
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return position[a.Variable] - position[b.Variable] })
	return faults
}

// settle normalizes checked values and fills in the defaults that depend on
// other values or on the machine.
func (c *Config) settle(p program, given map[string]string) {
	unset := func(name string) bool {
		path, _ := valueFile(name, given)
		return given[name] == "" && path == ""
	}
	if p == programDev && unset("ROLLCALL_DATA_DIR") && os.Geteuid() == 0 {
		// The unprivileged user PostgreSQL runs as cannot enter root's home.
		c.DataDir = "/var/lib/rollcall"
	}
	if p == programDev && unset("ROLLCALL_PUBLIC_URL") {
		c.PublicURL = localURL(c.Listen)
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	c.ServerURL = strings.TrimSuffix(c.ServerURL, "/")
}

// localURL returns the address of a listener for a browser on this machine.
func localURL(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
