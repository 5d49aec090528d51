//go:build unix

package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sentinelMaster is the name of the master that the sentinels watch.
const sentinelMaster = "rollcall"

// Sentinels are three sentinels that watch a master with a replica.
type Sentinels struct {
	t       testing.TB
	servers []*Server // the first is the master at first
	watch   []*Server
}

// StartSentinels starts a master, a replica and sentinels, which end with t.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	s := &Sentinels{t: t}
	master := begin(&Server{t: t, program: find(t)})
	replica := begin(&Server{t: t, program: find(t), more: []string{"--replicaof", "127.0.0.1 " + master.port}})
	s.servers = []*Server{master, replica}
	eventually(t, "the replica follows", func() bool {
		return strings.Contains(master.ask("INFO", "replication"), "state=online")
	})
	dir := t.TempDir()
	for n := range 3 {
		file := filepath.Join(dir, fmt.Sprintf("sentinel-%d.conf", n))
		text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n",
			sentinelMaster, master.port)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatalf("redistest: %v", err)
		}
		s.watch = append(s.watch, begin(&Server{t: t, program: find(t), before: []string{file, "--sentinel"}}))
	}
	eventually(t, "the sentinels know all", func() bool {
		for _, sentinel := range s.watch {
			if !strings.Contains(sentinel.ask("INFO", "sentinel"), "status=ok,address=127.0.0.1:"+master.port+",slaves=1,sentinels=3") {
				return false
			}
		}
		return true
	})
	return s
}

// URL returns the REDIS_URL.
func (s *Sentinels) URL() string {
	var hosts []string
	for _, sentinel := range s.watch {
		hosts = append(hosts, net.JoinHostPort("127.0.0.1", sentinel.port))
	}
	return "redis-sentinel://" + strings.Join(hosts, ",") + "/0?master=" + sentinelMaster
}

// FailOver kills the master, waits until the replica is promoted, and starts the
// killed server again, empty, as a replica.
func (s *Sentinels) FailOver() {
	s.t.Helper()
	killed, next := s.servers[0], s.servers[1]
	killed.Stop()
	eventually(s.t, "the replica is promoted", next.isMaster)
	killed.more = []string{"--replicaof", "127.0.0.1 " + next.port}
	killed.Restart()
	s.servers[0], s.servers[1] = next, killed
}

// Settled waits until the replica follows the master again.
func (s *Sentinels) Settled() {
	s.t.Helper()
	eventually(s.t, "the replica follows", func() bool {
		return strings.Contains(s.servers[0].ask("INFO", "replication"), "state=online")
	})
}
