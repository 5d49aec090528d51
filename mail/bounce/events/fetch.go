package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"rollcall/internal/egress"
)

// Limits of one fetch.
const (
	fetchTimeout   = 5 * time.Second
	maxFetched     = 64 << 10
	maxFetchHeader = 16 << 10
)

// FetchConfig configures NewFetch. The zero value is safe for production.
type FetchConfig struct {
	Allowed  egress.Addresses // in addition to the public Internet
	Resolver *net.Resolver    // nil: the system's
	Roots    *x509.CertPool   // nil: the system's
}

// ErrFetch is returned for an answer other than 200, and for one that is too long.
var ErrFetch = errors.New("unexpected answer")

// NewFetch returns a function that gets an https URL under the rules of package
// egress: the address is checked when it is dialed, no redirect is followed and no
// proxy used.
func NewFetch(cfg FetchConfig) func(ctx context.Context, url string) ([]byte, error) {
	transport := &http.Transport{
		Proxy:                  nil, // a proxy would dial instead of us, unchecked
		DialContext:            egress.Dialer(cfg.Allowed.Check, cfg.Resolver),
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxFetchHeader,
	}
	return func(ctx context.Context, url string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return nil, err
		}
		if !strings.EqualFold(req.URL.Scheme, "https") {
			return nil, fmt.Errorf("%w: not https", ErrFetch)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, maxFetched+1))
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode != http.StatusOK || len(body) > maxFetched:
			return nil, fmt.Errorf("%w: status %d, %d bytes", ErrFetch, res.StatusCode, len(body))
		}
		return body, nil
	}
}
