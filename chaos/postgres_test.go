//go:build unix

package chaos_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/devstack"
)

// postgres is a PostgreSQL of the experiment's own. It keeps what it has
// committed through every way of being killed, but not through a power cut.
type postgres struct {
	t       *testing.T
	config  devstack.PostgresConfig
	running *devstack.Postgres
}

func startPostgres(t *testing.T, settings map[string]string) *postgres {
	t.Helper()
	// Not t.TempDir, which another user, whom root lets run the server, cannot enter.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-chaos-%d-%s", os.Getpid(), strings.ToLower(rand.Text()[:8])))
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
	p.start()
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
