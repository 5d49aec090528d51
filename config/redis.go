package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"
	maxRedisDB   = 1 << 16 // more than any server is configured with
)

// RedisOptions returns how to connect to RedisURL. It is for a Config that a
// Load function returned or dev filled in; the error is ParseRedisURL's.
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
	u, hosts, err := splitRedisURL(raw)
	if err != nil {
		return nil, err
	}
	db, err := redisDB(u.Path)
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the part after ? is malformed")
	}
	switch u.Scheme {
	case "redis", "rediss":
		return singleRedis(u, hosts, db, query)
	case "redis-sentinel":
		return sentinelRedis(u, hosts, db, query)
	default:
		return nil, errors.New("must start with redis://, rediss:// or redis-sentinel://")
	}
}

func singleRedis(u *url.URL, hosts []string, db int, query url.Values) (asynq.RedisConnOpt, error) {
	if len(hosts) != 1 || len(query) != 0 {
		return nil, errors.New("more than one host, or anything after ?, needs redis-sentinel://")
	}
	addr, err := hostPort(hosts[0], redisPort)
	if err != nil {
		return nil, err
	}
	opt := asynq.RedisClientOpt{Addr: addr, DB: db, Username: u.User.Username()}
	opt.Password, _ = u.User.Password()
	if u.Scheme == "rediss" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.New("the host is malformed")
		}
		opt.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return opt, nil
}

func sentinelRedis(u *url.URL, hosts []string, db int, query url.Values) (asynq.RedisConnOpt, error) {
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
		Username:         u.User.Username(),
		DB:               db,
	}
	opt.Password, _ = u.User.Password()
	switch query.Get("tls") {
	case "", "false":
	case "true":
		// Without a ServerName each certificate is held against the host dialled.
		opt.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("tls must be true or false")
	}
	for _, host := range hosts {
		addr, err := hostPort(host, sentinelPort)
		if err != nil {
			return nil, err
		}
		opt.SentinelAddrs = append(opt.SentinelAddrs, addr)
	}
	return opt, nil
}

// splitRedisURL parses a URL whose authority may list several hosts, which
// url.Parse does not know: it gets the URL without them.
func splitRedisURL(raw string) (u *url.URL, hosts []string, err error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, nil, errors.New("not a URL")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	at := strings.LastIndexByte(authority, '@')
	u, err = url.Parse(scheme + "://" + authority[:at+1] + "host" + tail)
	if err != nil {
		return nil, nil, errors.New("not a URL (percent-encode special characters in the password)")
	}
	if u.Fragment != "" {
		return nil, nil, errors.New("nothing may follow # (percent-encode special characters in the password)")
	}
	return u, strings.Split(authority[at+1:], ","), nil
}

// hostPort completes host or host:port with the default port.
func hostPort(text, port string) (string, error) {
	host := text
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", errors.New("a host is malformed")
		}
	}
	if host == "" || strings.ContainsAny(host, "@[] \t%") {
		return "", errors.New("a host is missing or malformed")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("a port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

func redisDB(path string) (int, error) {
	digits := strings.Trim(path, "/")
	if digits == "" {
		return 0, nil
	}
	db, err := strconv.Atoi(digits)
	if err != nil || db < 0 || db > maxRedisDB {
		return 0, errors.New("the path is not a database number")
	}
	return db, nil
}
