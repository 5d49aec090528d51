package events

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Types of messages of SNS.
const (
	snsNotification = "Notification"
	snsSubscribe    = "SubscriptionConfirmation"
	snsUnsubscribe  = "UnsubscribeConfirmation"
)

// SNS verifies messages of Amazon SNS and confirms subscriptions. It is safe for
// concurrent use.
type SNS struct {
	topics   []string
	fetch    func(ctx context.Context, url string) ([]byte, error)
	fetching chan struct{} // one token for each fetch

	mu    sync.Mutex
	certs map[string]*x509.Certificate // by URL
}

// maxFetches bounds how many fetches run at once: anyone can name certificates.
const maxFetches = 4

// NewSNS makes an SNS for topics with these ARNs. fetch gets an https URL of Amazon; see
// NewFetch.
func NewSNS(topics []string, fetch func(ctx context.Context, url string) ([]byte, error)) *SNS {
	return &SNS{topics: topics, fetch: fetch, fetching: make(chan struct{}, maxFetches)}
}

// get fetches a URL, unless others are being fetched already.
func (s *SNS) get(ctx context.Context, url string) ([]byte, error) {
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
		return s.fetch(ctx, url)
	default:
		return nil, errors.New("too many requests to Amazon at once")
	}
}

var (
	topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$`)
	// snsHost are the hosts of SNS, to which certificates and subscriptions lead.
	snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?$`)
	// certPath are the paths of its certificates.
	certPath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{1,64}\.pem$`)
)

// ParseTopics parses ARNs separated by commas.
func ParseTopics(text string) (topics []string, err error) {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); !topicARN.MatchString(item) {
			return nil, errors.New("not the ARN of an SNS topic")
		}
		topics = append(topics, item)
	}
	return topics, nil
}

// snsMessage is a message of SNS.
type snsMessage struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	Timestamp        string
	SubscribeURL     string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// receive verifies a message, and confirms a subscription.
func (s *SNS) receive(ctx context.Context, body []byte) (*snsMessage, error) {
	var m snsMessage
	if err := decode(body, &m); err != nil {
		return nil, err
	}
	if !slices.Contains(s.topics, m.TopicARN) {
		return nil, fmt.Errorf("%w: a topic that is not configured", ErrUnsigned)
	}
	if err := s.verify(ctx, &m); err != nil {
		return nil, err
	}
	if m.Type == snsSubscribe {
		u, err := amazonURL(m.SubscribeURL)
		if err != nil {
			return nil, err
		}
		if _, err := s.get(ctx, u.String()); err != nil {
			return nil, fmt.Errorf("confirm subscription: %w", err)
		}
	}
	return &m, nil
}

// amazonURL accepts an https URL of SNS itself.
func amazonURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" || !snsHost.MatchString(u.Host) {
		return nil, fmt.Errorf("%w: a URL that is not of SNS", ErrUnsigned)
	}
	return u, nil
}

// verify checks the signature.
func (s *SNS) verify(ctx context.Context, m *snsMessage) error {
	signed, err := m.signed()
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil {
		return ErrUnsigned
	}
	cert, err := s.certificate(ctx, m.SigningCertURL)
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if now := time.Now(); !ok || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("%w: a certificate that is not valid", ErrUnsigned)
	}
	switch m.SignatureVersion {
	case "1": // the default of SNS
		sum := sha1.Sum(signed)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256(signed)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		return fmt.Errorf("%w: an unknown signature version", ErrUnsigned)
	}
	if err != nil {
		return ErrUnsigned
	}
	return nil
}

// signed is the text that SNS signs.
func (m *snsMessage) signed() ([]byte, error) {
	fields := []string{"Message", m.Message, "MessageId", m.MessageID}
	switch m.Type {
	case snsNotification:
		if m.Subject != nil {
			fields = append(fields, "Subject", *m.Subject)
		}
		fields = append(fields, "Timestamp", m.Timestamp, "TopicArn", m.TopicARN, "Type", m.Type)
	case snsSubscribe, snsUnsubscribe:
		fields = append(fields, "SubscribeURL", m.SubscribeURL, "Timestamp", m.Timestamp, "Token", m.Token, "TopicArn", m.TopicARN, "Type", m.Type)
	default:
		return nil, fmt.Errorf("%w: an unknown type", ErrMalformed)
	}
	return []byte(strings.Join(fields, "\n") + "\n"), nil
}

// maxCerts bounds how many certificates are kept; SNS has one for each region.
const maxCerts = 16

// certificate fetches a certificate of SNS, once.
func (s *SNS) certificate(ctx context.Context, text string) (*x509.Certificate, error) {
	u, err := amazonURL(text)
	if err != nil {
		return nil, err
	}
	if !certPath.MatchString(u.Path) || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: a URL that is not of a certificate", ErrUnsigned)
	}
	s.mu.Lock()
	cert := s.certs[text]
	s.mu.Unlock()
	if cert != nil {
		return cert, nil
	}
	raw, err := s.get(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("fetch certificate of SNS: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%w: no certificate", ErrUnsigned)
	}
	if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%w: no certificate", ErrUnsigned)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.certs == nil || len(s.certs) >= maxCerts {
		s.certs = map[string]*x509.Certificate{}
	}
	s.certs[text] = cert
	return cert, nil
}
