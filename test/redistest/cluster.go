//go:build unix

package redistest

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
	// settleTimeout is how long servers may take to agree with each other.
	settleTimeout = time.Minute
)

// Cluster is a Redis Cluster of three masters with a replica each.
type Cluster struct {
	t     testing.TB
	nodes []*Server
}

// StartCluster starts a cluster that ends with t and replaces a master that was
// stopped within seconds.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	program, dir := find(t), t.TempDir()
	for n := range 2 * clusterMasters {
		// The port of the cluster's own connections is usually 10,000 above, where
		// there may be none.
		bus := freePort(t)
		c.nodes = append(c.nodes, begin(&Server{t: t, program: program, more: []string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1500",
			"--cluster-config-file", filepath.Join(dir, "nodes-"+strconv.Itoa(n)+".conf"), "--repl-diskless-sync-delay", "0",
		}, bus: bus}))
	}
	for n, node := range c.nodes {
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", n+1)
		if n < clusterMasters {
			node.Do("CLUSTER", "ADDSLOTSRANGE", n*clusterSlots/clusterMasters, (n+1)*clusterSlots/clusterMasters-1)
		}
	}
	for _, node := range c.nodes[1:] {
		c.nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
	}
	for n, replica := range c.nodes[clusterMasters:] {
		master := c.nodes[n].ask("CLUSTER", "MYID")
		c.eventually("all nodes know each other", func() bool {
			return !slices.ContainsFunc(c.nodes, func(s *Server) bool {
				return strings.Count(s.ask("CLUSTER", "NODES"), "connected") != len(c.nodes)
			})
		})
		replica.Do("CLUSTER", "REPLICATE", master)
	}
	c.Settled()
	return c
}

// URL returns the cluster's REDIS_URL, which names its first masters.
func (c *Cluster) URL() string {
	var hosts []string
	for _, node := range c.nodes[:clusterMasters] {
		hosts = append(hosts, net.JoinHostPort("127.0.0.1", node.port))
	}
	return "redis-cluster://" + strings.Join(hosts, ",")
}

// Master returns the node that serves a key now, as the others see it.
func (c *Cluster) Master(key string) *Server {
	c.t.Helper()
	for _, node := range c.nodes {
		if node.process == nil {
			continue
		}
		slot, err := strconv.Atoi(node.ask("CLUSTER", "KEYSLOT", key))
		if err != nil {
			c.t.Fatalf("redistest: slot: %v", err)
		}
		for _, served := range node.slots() {
			if served.Start <= slot && slot <= served.End {
				_, port, _ := net.SplitHostPort(served.Nodes[0].Addr)
				i := slices.IndexFunc(c.nodes, func(s *Server) bool { return s.port == port })
				return c.nodes[i]
			}
		}
	}
	c.t.Fatal("redistest: no master")
	return nil
}

// Other returns a master that does not serve a key.
func (c *Cluster) Other(key string) *Server {
	c.t.Helper()
	serves := c.Master(key)
	i := slices.IndexFunc(c.nodes, func(s *Server) bool { return s != serves && s.process != nil && s.isMaster() })
	return c.nodes[i]
}

// FailOver kills the master of a key, waits until another serves it, and starts
// the killed node again.
func (c *Cluster) FailOver(key string) {
	c.t.Helper()
	killed := c.Master(key)
	killed.Stop()
	c.eventually("a replica is promoted", func() bool { return c.Master(key) != killed })
	killed.Restart()
}

// Settled waits until every node has its slots served and every master a replica
// that follows it.
func (c *Cluster) Settled() {
	c.t.Helper()
	c.eventually("the cluster is complete", func() bool {
		masters := 0
		for _, node := range c.nodes {
			info := node.ask("INFO", "replication")
			if !strings.Contains(node.ask("CLUSTER", "INFO"), "cluster_state:ok") ||
				strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
				return false
			}
			if strings.Contains(info, "role:master") && strings.Contains(info, "state=online") {
				masters++
			}
		}
		return masters == clusterMasters
	})
}

func (c *Cluster) eventually(what string, wanted func() bool) {
	c.t.Helper()
	eventually(c.t, what, wanted)
}

func eventually(t testing.TB, what string, wanted func() bool) {
	t.Helper()
	for deadline := time.Now().Add(settleTimeout); !wanted(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("redistest: not within %s: %s", settleTimeout, what)
		}
	}
}

func (s *Server) isMaster() bool {
	return strings.Contains(s.ask("INFO", "replication"), "role:master")
}

func (s *Server) slots() []redis.ClusterSlot {
	s.t.Helper()
	client := s.open()
	defer client.Close()
	//lint:ignore SA1019 its answer begins with the master of each range, which CLUSTER SHARDS does not say for sure during a failover
	slots, err := client.ClusterSlots(context.Background()).Result()
	if err != nil {
		s.t.Fatalf("redistest: slots: %v", err)
	}
	return slots
}
