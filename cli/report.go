package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rollcall/cli/terminal"
	"rollcall/client"
)

// maxNumbered bounds the search for a name that is not taken.
const maxNumbered = 999

// report is an error report that was saved, or was not.
type report struct {
	path string // "": there is none
	err  error
}

// sentence tells where it is, "" if there is none to speak of.
func (r report) sentence() string {
	switch {
	case r.err != nil:
		return "The error report could not be saved: " + terminal.Visible(r.err.Error())
	case r.path != "":
		return "Error report: " + terminal.Visible(r.path)
	default:
		return ""
	}
}

// saveReport saves the error report of an import: at path, replacing what is
// there, or else under the name of the file it is about, in the current
// directory, replacing nothing. It can be read by this user only, for it holds
// what the file held.
func saveReport(ctx context.Context, api *client.Client, i *client.Import, path string, about *source) report {
	var file *os.File
	var err error
	target := path
	switch {
	case path == "":
		file, err = createNumbered(strings.TrimSuffix(about.name, filepath.Ext(about.name)) + "-errors")
		if file != nil {
			target = file.Name()
		}
	case about.is(path):
		err = errors.New("--errors names the file that was imported")
	case special(path):
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
	default:
		file, err = os.CreateTemp(filepath.Dir(path), ".rollcall-*") // mode 0600
	}
	if err != nil {
		return report{err: err}
	}
	_, err = api.ErrorReport(ctx, i.ID, file)
	err = errors.Join(err, file.Close())
	if err == nil && file.Name() != target {
		err = os.Rename(file.Name(), target)
	}
	if err != nil {
		if !special(file.Name()) {
			_ = os.Remove(file.Name()) // part of a report is none
		}
		return report{err: err}
	}
	return report{path: target}
}

// createNumbered creates NAME.csv, or NAME-2.csv and so on if that is taken.
func createNumbered(name string) (*os.File, error) {
	for n := 1; n <= maxNumbered; n++ {
		path := name + ".csv"
		if n > 1 {
			path = fmt.Sprintf("%s-%d.csv", name, n)
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, fmt.Errorf("%s.csv and %d more names are taken; choose one with --errors", name, maxNumbered-1)
}

// special reports whether path is there and no ordinary file: a device, a pipe.
func special(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}
