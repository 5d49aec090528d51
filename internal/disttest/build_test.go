package disttest_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildIsReproducible builds a small program as the programs are built, from two
// directories, each time compiling all of it.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	var built []string
	for _, dir := range []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "another-directory")} {
		if err := os.CopyFS(filepath.Join(dir, "examples/gen"), os.DirFS(filepath.Join(root, "examples/gen"))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(read(t, root, "go.mod")), 0o644); err != nil {
			t.Fatal(err)
		}
		script, err := filepath.Abs(filepath.Join(root, "deploy/package/build.sh"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script, "linux/arm64", filepath.Join(dir, "out"), "./examples/gen")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "GOCACHE="+filepath.Join(dir, "cache"))
		run(t, cmd)
		built = append(built, filepath.Join(dir, "out/gen"))
	}
	first := read(t, built[0])
	if first != read(t, built[1]) {
		t.Error("two builds are not the same")
	}
	if strings.Contains(first, filepath.Dir(filepath.Dir(built[0]))) {
		t.Error("the program contains the directory it was built in")
	}
	program, err := elf.Open(built[0])
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 || program.Section(".interp") != nil {
		t.Errorf("not static: %q, %v", libraries, err)
	}
}
