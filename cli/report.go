package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rollcall/cli/termtext"
	"rollcall/client"
)

// maxNumbered bounds the search for an unused name.
const maxNumbered = 999

// report is the result of saving an error report.
type report struct {
	path string // "": there is none
	err  error
}

// sentence says where the report is, "" if there is none.
func (r report) sentence() string {
	switch {
	case r.err != nil:
		return "Couldn't save the error report: " + termtext.Sanitize(r.err.Error())
	case r.path != "":
		return "Error report: " + termtext.Sanitize(r.path)
	default:
		return ""
	}
}

// saveReport saves the error report of an import: at path, replacing an
// existing file, or else in the current directory under a new name made from
// the imported file's. A path that ends in .xlsx gets a workbook. Only this user can read it, because it contains data of
// the imported file.
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
		err = errors.New("--errors is the path of the imported file")
	case special(path):
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
	default:
		file, err = os.CreateTemp(filepath.Dir(path), ".rollcall-*") // mode 0600
	}
	if err != nil {
		return report{err: err}
	}
	format := client.CSV
	if strings.EqualFold(filepath.Ext(path), ".xlsx") {
		format = client.XLSX
	}
	_, err = api.ErrorReport(ctx, i.ID, format, file)
	err = errors.Join(err, file.Close())
	if err == nil && file.Name() != target {
		err = os.Rename(file.Name(), target)
	}
	if err != nil {
		if !special(file.Name()) {
			_ = os.Remove(file.Name()) // do not leave a partial report
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
	return nil, fmt.Errorf("%s.csv and %d more names already exist; choose another with --errors", name, maxNumbered-1)
}

// special reports whether path exists and is not a regular file: a device, a
// pipe.
func special(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}
