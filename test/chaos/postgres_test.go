//go:build unix

package chaos_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rollcall/internal/devstack"
)

// postgres is the experiment's own PostgreSQL. It keeps committed data however
// it is killed, but not through a power failure.
type postgres struct {
	t       *testing.T
	config  devstack.PostgresConfig
	running *devstack.Postgres
}

// template is the directory of a fresh cluster, created once: copying is
// faster.
var template = sync.OnceValues(func() (dir string, err error) {
	dir = clusterDir("template")
	p, err := devstack.StartPostgres(context.Background(), devstack.PostgresConfig{Dir: dir})
	if err != nil {
		return dir, err
	}
	return dir, p.Stop(context.Background())
})

// clusterDir is not in t.TempDir, which the user that runs the server for root
// cannot enter.
func clusterDir(name string) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-chaos-%d-%s", os.Getpid(), name))
}

// removeStale removes the clusters of runs that were killed. Their servers
// ended with them.
func removeStale() {
	prefix := filepath.Join(os.TempDir(), "rollcall-chaos-")
	dirs, _ := filepath.Glob(prefix + "*-*") // fails only on a bad pattern
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.Split(strings.TrimPrefix(dir, prefix), "-")[0])
		if err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			unmount(filepath.Join(dir, "small"))
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}

func startPostgres(t *testing.T, settings map[string]string) *postgres {
	t.Helper()
	p := newPostgres(t, settings)
	p.start()
	return p
}

// newPostgres makes a cluster without starting it. All clusters of a run are copies
// of one, so that any of them can be a standby of any other from its first start on.
func newPostgres(t *testing.T, settings map[string]string) *postgres {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := clusterDir(strings.ToLower(rand.Text()[:8]))
	if out, err := exec.Command("cp", "-a", from, dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the cluster: %v\n%s", err, out)
	}
	all := map[string]string{"fsync": "off", "full_page_writes": "off", "max_connections": "150"}
	for name, value := range settings {
		all[name] = value
	}
	p := &postgres{t: t, config: devstack.PostgresConfig{Dir: dir, Settings: all}}
	t.Cleanup(func() {
		if p.running != nil {
			p.running.Stop(context.Background())
		}
		os.RemoveAll(dir)
	})
	return p
}

func (p *postgres) start() {
	p.t.Helper()
	running, err := devstack.StartPostgres(context.Background(), p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.running = running
}
