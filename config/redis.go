package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"
	maxRedisDB   = 1 << 16 // more than any server is configured with
)

// RedisOptions returns the options to connect to RedisURL. It is for a Config
// that a Load function returned or dev filled in; the error is ParseRedisURL's.
func (c Config) RedisOptions() (asynq.RedisConnOpt, error) { return ParseRedisURL(c.RedisURL.Reveal()) }

// ParseRedisURL reads
//
//	redis://[user:password@]host[:6379][/db]
//	rediss://…                                  the same over TLS 1.2 or later
//	redis-sentinel://[user:password@]host[:26379],host[:26379]…[/db]?master=NAME
//	        [&sentinel_user=U][&sentinel_password=P][&tls=true]
//	redis-cluster://[user:password@]host[:6379],host[:6379]…[?tls=true]
//
// User and password are those of the Redis server, also with Sentinel;
// sentinels that ask for credentials get sentinel_user and sentinel_password.
// The database is 0 unless given, and always in a cluster, whose other nodes are
// found through those named. The result's MakeRedisClient is a
// redis.UniversalClient. No error repeats any part of the URL.
func ParseRedisURL(raw string) (asynq.RedisConnOpt, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, errors.New("not a URL")
	}
	rest, parameters, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(parameters)
	if err != nil {
		return nil, errors.New("the part after ? is malformed")
	}
	switch scheme {
	case "redis", "rediss":
		// Package redis would accept parameters, including one that disables
		// certificate checks.
		if len(query) != 0 || strings.Contains(rest, ",") {
			return nil, errors.New("more than one host, or anything after ?, needs redis-sentinel:// or redis-cluster://")
		}
		o, err := redisServer(scheme, rest, redisPort)
		if err != nil {
			return nil, err
		}
		return asynq.RedisClientOpt{Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig}, nil
	case "redis-sentinel":
		return redisSentinel(rest, query)
	case "redis-cluster":
		return redisCluster(rest, query)
	default:
		return nil, errors.New("must start with redis://, rediss://, redis-sentinel:// or redis-cluster://")
	}
}

func redisCluster(rest string, query url.Values) (asynq.RedisConnOpt, error) {
	if err := onlyParameters(query, "tls"); err != nil {
		return nil, err
	}
	addresses, o, err := redisHosts(rest, redisPort)
	if err != nil {
		return nil, err
	}
	if o.DB != 0 {
		return nil, errors.New("a cluster has only database 0")
	}
	opt := asynq.RedisClusterClientOpt{Addrs: addresses, Username: o.Username, Password: o.Password}
	opt.TLSConfig, err = tlsParameter(query)
	return opt, err
}

func redisSentinel(rest string, query url.Values) (asynq.RedisConnOpt, error) {
	if err := onlyParameters(query, "master", "sentinel_user", "sentinel_password", "tls"); err != nil {
		return nil, err
	}
	if query.Get("master") == "" {
		return nil, errors.New("?master=NAME is missing")
	}
	opt := asynq.RedisFailoverClientOpt{
		MasterName:       query.Get("master"),
		SentinelUsername: query.Get("sentinel_user"),
		SentinelPassword: query.Get("sentinel_password"),
	}
	var o *redis.Options
	var err error
	if opt.SentinelAddrs, o, err = redisHosts(rest, sentinelPort); err != nil {
		return nil, err
	}
	opt.Username, opt.Password, opt.DB = o.Username, o.Password, o.DB
	opt.TLSConfig, err = tlsParameter(query)
	return opt, err
}

// onlyParameters refuses other parameters, and any that is given twice.
func onlyParameters(query url.Values, known ...string) error {
	for key, values := range query {
		if !slices.Contains(known, key) {
			return fmt.Errorf("the only parameters after ? are: %s", strings.Join(known, ", "))
		}
		if len(values) != 1 {
			return fmt.Errorf("%s is given more than once", key)
		}
	}
	return nil
}

// tlsParameter reads tls=true. Without a ServerName, each certificate is checked
// against the host dialed.
func tlsParameter(query url.Values) (*tls.Config, error) {
	switch query.Get("tls") {
	case "", "false":
		return nil, nil
	case "true":
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	default:
		return nil, errors.New("tls must be true or false")
	}
}

// redisHosts reads a list of hosts, and what the URL says of all of them. A URL
// has one host, so each of the list is parsed with the rest of the URL.
func redisHosts(rest, defaultPort string) (addresses []string, o *redis.Options, err error) {
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@') + 1
	for host := range strings.SplitSeq(authority[at:], ",") {
		if o, err = redisServer("redis", authority[:at]+host+"/"+path, defaultPort); err != nil {
			return nil, nil, err
		}
		addresses = append(addresses, o.Addr)
	}
	return addresses, o, nil
}

// redisServer reads the URL of one server.
func redisServer(scheme, rest, defaultPort string) (*redis.Options, error) {
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, errors.New("not a URL (percent-encode special characters in the password)")
	}
	if u.Fragment != "" {
		return nil, errors.New("nothing may follow # (percent-encode special characters in the password)")
	}
	if u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "@[] \t%") {
		return nil, errors.New("a host is missing or malformed")
	}
	port := cmp.Or(u.Port(), defaultPort)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, errors.New("a port is not a number from 1 to 65535")
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	o, err := redis.ParseURL(u.String())
	if err != nil || o.DB < 0 || o.DB > maxRedisDB {
		return nil, errors.New("the path is not a database number")
	}
	return o, nil
}
