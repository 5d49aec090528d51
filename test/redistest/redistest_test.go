package redistest_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/test/redistest"
)

func open(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestServersAreApart(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			client := open(t, redistest.URL(t))
			if n, err := client.DBSize(t.Context()).Result(); err != nil || n != 0 {
				t.Fatalf("%d keys (%v) in a fresh Redis", n, err)
			}
			if n, err := client.Incr(t.Context(), "mine").Result(); err != nil || n != 1 {
				t.Fatalf("the first increment of a counter gives %d (%v)", n, err)
			}
		})
	}
}

func TestStopAndRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := open(t, server.URL())
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := net.Dial("tcp", client.Options().Addr); err == nil {
		t.Fatal("a stopped Redis takes connections")
	}
	server.Restart()
	if n, err := client.Exists(t.Context(), "k").Result(); err != nil || n != 0 {
		t.Fatalf("after a restart: %d keys (%v), want an empty Redis", n, err)
	}
}

func TestFailovers(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := redistest.StartCluster(t)
		before := cluster.Master("key")
		cluster.FailOver("key")
		cluster.Settled()
		if now := cluster.Master("key"); now == before {
			t.Error("the killed master serves the key again")
		}
	})
	t.Run("sentinels", func(t *testing.T) {
		t.Parallel()
		sentinels := redistest.StartSentinels(t)
		sentinels.FailOver()
		sentinels.Settled()
	})
}
