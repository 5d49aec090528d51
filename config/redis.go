package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
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
//
// User and password are those of the Redis server, also with Sentinel;
// sentinels that ask for credentials get sentinel_user and sentinel_password.
// The database is 0 unless given. The result's MakeRedisClient is a
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
			return nil, errors.New("more than one host, or anything after ?, needs redis-sentinel://")
		}
		o, err := redisServer(scheme, rest, redisPort)
		if err != nil {
			return nil, err
		}
		return asynq.RedisClientOpt{Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig}, nil
	case "redis-sentinel":
		return redisSentinel(rest, query)
	default:
		return nil, errors.New("must start with redis://, rediss:// or redis-sentinel://")
	}
}

func redisSentinel(rest string, query url.Values) (asynq.RedisConnOpt, error) {
	for key, values := range query {
		switch key {
		case "master", "sentinel_user", "sentinel_password", "tls":
		default:
			return nil, errors.New("the only parameters are master, sentinel_user, sentinel_password and tls")
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("%s is given more than once", key)
		}
	}
	if query.Get("master") == "" {
		return nil, errors.New("?master=NAME is missing")
	}
	opt := asynq.RedisFailoverClientOpt{
		MasterName:       query.Get("master"),
		SentinelUsername: query.Get("sentinel_user"),
		SentinelPassword: query.Get("sentinel_password"),
	}
	switch query.Get("tls") {
	case "", "false":
	case "true":
		// Without a ServerName, each certificate is checked against the host
		// dialed.
		opt.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("tls must be true or false")
	}
	// A URL has one host, so each host of the list is parsed with the rest of
	// the URL.
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@') + 1
	for host := range strings.SplitSeq(authority[at:], ",") {
		o, err := redisServer("redis", authority[:at]+host+"/"+path, sentinelPort)
		if err != nil {
			return nil, err
		}
		opt.SentinelAddrs = append(opt.SentinelAddrs, o.Addr)
		opt.Username, opt.Password, opt.DB = o.Username, o.Password, o.DB
	}
	return opt, nil
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
