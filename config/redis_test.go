package config_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/config"
)

func TestParseRedisURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url  string
		want asynq.RedisConnOpt
	}{
		{"redis://localhost", asynq.RedisClientOpt{Addr: "localhost:6379"}},
		{"redis://localhost:1234/", asynq.RedisClientOpt{Addr: "localhost:1234"}},
		{"redis://:p%40ss@127.0.0.1:1234/7", asynq.RedisClientOpt{Addr: "127.0.0.1:1234", Password: "p@ss", DB: 7}},
		{"redis://app:pw@[::1]", asynq.RedisClientOpt{Addr: "[::1]:6379", Username: "app", Password: "pw"}},
		{"redis://[::1]:1234", asynq.RedisClientOpt{Addr: "[::1]:1234"}},
		{"rediss://redis.example.com", asynq.RedisClientOpt{
			Addr: "redis.example.com:6379", TLSConfig: &tls.Config{ServerName: "redis.example.com", MinVersion: tls.VersionTLS12},
		}},
		{"redis-sentinel://:pw@one:1,two,[::1]:3/2?master=main", asynq.RedisFailoverClientOpt{
			MasterName: "main", SentinelAddrs: []string{"one:1", "two:26379", "[::1]:3"}, Password: "pw", DB: 2,
		}},
		{"redis-sentinel://app:pw@one,two?master=main&sentinel_user=su&sentinel_password=sp&tls=true", asynq.RedisFailoverClientOpt{
			MasterName: "main", SentinelAddrs: []string{"one:26379", "two:26379"}, Username: "app", Password: "pw",
			SentinelUsername: "su", SentinelPassword: "sp", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}},
		{"redis-cluster://one:1,two,[::1]:3", asynq.RedisClusterClientOpt{Addrs: []string{"one:1", "two:6379", "[::1]:3"}}},
		{"redis-cluster://app:pw@one:1,two:2/0?tls=true", asynq.RedisClusterClientOpt{
			Addrs: []string{"one:1", "two:2"}, Username: "app", Password: "pw", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}},
	} {
		got, err := config.ParseRedisURL(tt.url)
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(tls.Config{})); err != nil || diff != "" {
			t.Errorf("ParseRedisURL(%s): %v (-want +got):\n%s", tt.url, err, diff)
			continue
		}
		if client, ok := got.MakeRedisClient().(redis.UniversalClient); !ok || client.Close() != nil {
			t.Errorf("ParseRedisURL(%s) makes no client", tt.url)
		}
	}
}

func TestParseRedisURLRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "hunter2", "localhost:6379", "unix:///run/redis.sock", "redis+tls://hunter2",
		"redis://", "redis://:hunter2@", "redis://:6379", "redis://host:hunter2", "redis://host:0", "redis://host:65536",
		"redis://host/hunter2", "redis://host/-1", "redis://host/99999999", "redis://host/0/hunter2",
		"redis://a,b", "redis://host?hunter2=1", "redis://host?%zz", "redis://:hunter%zz@host",
		"redis://:hunter2#x@host", "redis://:hunter2/x@host", "redis://ho st", "redis://a:b:1",
		"redis-sentinel://host", "redis-sentinel://host?master=", "redis-sentinel://a,,b?master=m", "redis-sentinel://?master=m",
		"redis-sentinel://a?master=m&master=hunter2", "redis-sentinel://a?master=m&hunter2=x", "redis-sentinel://a?master=m&tls=hunter2",
		"redis-cluster://", "redis-cluster://a,,b", "redis-cluster://a/1", "redis-cluster://a?master=m", "redis-cluster://a?tls=hunter2", "redis-cluster://a,b:hunter2",
	} {
		if got, err := config.ParseRedisURL(url); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("ParseRedisURL(%q) = %v, %v; want an error that repeats nothing", url, got, err)
		}
	}
}

func TestRedisOptionsConnect(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("app", "p@ss/word")
	cfg := config.Config{RedisURL: config.Secret("redis://app:p%40ss%2Fword@" + server.Addr() + "/3")}
	options, err := cfg.RedisOptions()
	if err != nil {
		t.Fatal(err)
	}
	client, ok := options.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		t.Fatalf("client is a %T", client)
	}
	defer func() { _ = client.Close() }()
	if err := client.Set(t.Context(), "bell", "rung", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Select(3)
	if got, err := server.Get("bell"); err != nil || got != "rung" {
		t.Errorf("in database 3: %q, %v", got, err)
	}
}
