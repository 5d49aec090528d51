package events_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/mail/bounce"
	"rollcall/mail/bounce/events"
)

const (
	topic = "arn:aws:sns:eu-west-1:123456789012:bounces"
	amzn  = "https://sns.eu-west-1.amazonaws.com/"
)

// amazon signs messages, and serves its certificate.
type amazon struct {
	*testing.T
	key     *rsa.PrivateKey
	cert    []byte
	fetched []string
	down    bool
}

func newAmazon(t *testing.T, until time.Time) *amazon {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &amazon{T: t, key: key, cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *amazon) fetch(_ context.Context, url string) ([]byte, error) {
	if a.down {
		return nil, errors.New("away")
	}
	a.fetched = append(a.fetched, url)
	if strings.HasSuffix(url, ".pem") {
		return a.cert, nil
	}
	return []byte("<ConfirmSubscriptionResponse/>"), nil
}

func (a *amazon) receiver() *events.SNS {
	return events.NewSNS([]string{topic}, a.fetch)
}

// message signs a message; change, if not nil, changes it afterwards.
func (a *amazon) message(version string, m map[string]string, change func(map[string]string)) []byte {
	a.Helper()
	m["MessageId"], m["Timestamp"], m["SignatureVersion"] = "22b80b92", "2026-12-01T00:00:00.000Z", version
	m["SigningCertURL"] = amzn + "SimpleNotificationService-0123abcd.pem"
	if m["TopicArn"] == "" {
		m["TopicArn"] = topic
	}
	var signed strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"} {
		if value, ok := m[name]; ok {
			signed.WriteString(name + "\n" + value + "\n")
		}
	}
	algorithm, sum := crypto.SHA1, sha1.New()
	if version == "2" {
		algorithm, sum = crypto.SHA256, sha256.New()
	}
	sum.Write([]byte(signed.String()))
	raw, err := rsa.SignPKCS1v15(rand.Reader, a.key, algorithm, sum.Sum(nil))
	if err != nil {
		a.Fatal(err)
	}
	m["Signature"] = base64.StdEncoding.EncodeToString(raw)
	if change != nil {
		change(m)
	}
	body, err := json.Marshal(m)
	if err != nil {
		a.Fatal(err)
	}
	return body
}

// bounced is a notification of SES; source is the envelope sender.
func bounced(kind, status, source, headers string) map[string]string {
	return map[string]string{"Type": "Notification", "Message": `{"notificationType":"Bounce","bounce":{"bounceType":"` + kind + `","bounceSubType":"General",
		"bouncedRecipients":[{"emailAddress":"ada@customer.example","action":"failed","status":"` + status + `","diagnosticCode":"smtp; 550 ` + status + ` no such user"}]},
		"mail":{"source":"` + source + `","headers":[` + headers + `]}}`}
}

func TestReadSES(t *testing.T) {
	t.Parallel()
	a := newAmazon(t, time.Now().Add(24*time.Hour))
	s := a.receiver()
	sender := "bounces+" + token + "@mail.example"
	delay := map[string]string{"Type": "Notification", "Subject": "Amazon SES", "Message": `{"eventType":"DeliveryDelay","mail":{"source":"` + sender + `"},
		"deliveryDelay":{"delayType":"MailboxFull","delayedRecipients":[{"status":"4.2.2","diagnosticCode":"smtp; 452 full"}]}}`}
	for name, c := range map[string]struct {
		message map[string]string
		want    []bounce.Report
	}{
		"permanent":    {bounced("Permanent", "5.1.1", sender, ""), report(bounce.Permanent, "550 5.1.1 no such user")},
		"transient":    {bounced("Transient", "4.4.7", sender, ""), report(bounce.Delayed, "550 4.4.7 no such user")},
		"by a header":  {bounced("Permanent", "5.1.1", "a@b.example", `{"name":"x-rollcall-token","value":"`+token+`"}`), report(bounce.Permanent, "550 5.1.1 no such user")},
		"not of ours":  {bounced("Permanent", "5.1.1", "a@b.example", ""), nil},
		"delay":        {delay, report(bounce.Delayed, "4.2.2 452 full")},
		"delivery":     {map[string]string{"Type": "Notification", "Message": `{"notificationType":"Delivery","mail":{"source":"` + sender + `"}}`}, nil},
		"a first test": {map[string]string{"Type": "Notification", "Message": "Successfully validated SNS topic for Amazon SES event publishing."}, nil},
	} {
		for _, version := range []string{"1", "2"} {
			got, err := s.Read(t.Context(), a.message(version, c.message, nil))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%s, signature %s: %v\n%s", name, version, err, diff)
			}
		}
	}
	if len(a.fetched) != 1 {
		t.Errorf("fetched %v, want the certificate once", a.fetched)
	}
}

// TestForgedSNS: nothing is believed, or fetched, of a message that is not of Amazon and
// of our topic.
func TestForgedSNS(t *testing.T) {
	t.Parallel()
	a := newAmazon(t, time.Now().Add(24*time.Hour))
	event := func() map[string]string { return bounced("Permanent", "5.1.1", "bounces+"+token+"@mail.example", "") }
	certAt := func(url string) func(map[string]string) {
		return func(m map[string]string) { m["SigningCertURL"] = url }
	}
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   error
	}{
		"another message":   {func(m map[string]string) { m["Message"] += " " }, events.ErrUnsigned},
		"another topic":     {func(m map[string]string) { m["TopicArn"] += "x" }, events.ErrUnsigned},
		"a subject":         {func(m map[string]string) { m["Subject"] = "x" }, events.ErrUnsigned},
		"another type":      {func(m map[string]string) { m["Type"] = "Other" }, events.ErrMalformed},
		"no signature":      {func(m map[string]string) { m["Signature"] = "" }, events.ErrUnsigned},
		"another version":   {func(m map[string]string) { m["SignatureVersion"] = "2" }, events.ErrUnsigned},
		"a future version":  {func(m map[string]string) { m["SignatureVersion"] = "3" }, events.ErrUnsigned},
		"http":              {certAt(strings.Replace(amzn, "https", "http", 1) + "SimpleNotificationService-a.pem"), events.ErrUnsigned},
		"another host":      {certAt("https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-a.pem"), events.ErrUnsigned},
		"a bucket":          {certAt("https://sns.s3.amazonaws.com/SimpleNotificationService-a.pem?x"), events.ErrUnsigned},
		"a user":            {certAt("https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-a.pem"), events.ErrUnsigned},
		"a port":            {certAt("https://sns.eu-west-1.amazonaws.com:444/SimpleNotificationService-a.pem"), events.ErrUnsigned},
		"another path":      {certAt(amzn + "?Action=Publish"), events.ErrUnsigned},
		"another directory": {certAt(amzn + "x/../SimpleNotificationService-a.pem"), events.ErrUnsigned},
	} {
		s := a.receiver()
		if got, err := s.Read(t.Context(), a.message("1", event(), c.change)); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, url := range a.fetched {
		if url != amzn+"SimpleNotificationService-0123abcd.pem" {
			t.Errorf("fetched %s", url)
		}
	}
	old := newAmazon(t, time.Now().Add(-time.Hour))
	if _, err := old.receiver().Read(t.Context(), old.message("1", event(), nil)); !errors.Is(err, events.ErrUnsigned) {
		t.Errorf("an expired certificate: %v", err)
	}
	a.down = true
	if _, err := a.receiver().Read(t.Context(), a.message("1", event(), nil)); err == nil || errors.Is(err, events.ErrUnsigned) {
		t.Errorf("Amazon is away: %v", err)
	}
}

// TestSubscription: a subscription to our topic is confirmed, at Amazon only.
func TestSubscription(t *testing.T) {
	t.Parallel()
	a := newAmazon(t, time.Now().Add(24*time.Hour))
	subscribe := func(url, topic string) map[string]string {
		return map[string]string{"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe.", "Token": "2336", "SubscribeURL": url, "TopicArn": topic}
	}
	at := amzn + "?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=2336"
	if got, err := a.receiver().Read(t.Context(), a.message("1", subscribe(at, topic), nil)); got != nil || err != nil || !slices.Contains(a.fetched, at) {
		t.Errorf("%v, %v, fetched %v", got, err, a.fetched)
	}
	a.fetched = nil
	for _, m := range []map[string]string{subscribe("https://evil.example/", topic), subscribe("http://169.254.169.254/", topic), subscribe(at, topic+"2")} {
		if _, err := a.receiver().Read(t.Context(), a.message("1", m, nil)); !errors.Is(err, events.ErrUnsigned) {
			t.Errorf("%s: %v", m["SubscribeURL"], err)
		}
	}
	leave := subscribe(at, topic)
	leave["Type"] = "UnsubscribeConfirmation"
	if _, err := a.receiver().Read(t.Context(), a.message("1", leave, nil)); err != nil {
		t.Errorf("the end of a subscription: %v", err)
	}
	if slices.ContainsFunc(a.fetched, func(url string) bool { return !strings.HasSuffix(url, ".pem") }) {
		t.Errorf("fetched %v", a.fetched)
	}
}

func TestParseTopics(t *testing.T) {
	t.Parallel()
	if got, err := events.ParseTopics(topic + ", arn:aws-cn:sns:cn-north-1:123456789012:B_2"); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", topic + ",", "arn:aws:sqs:eu-west-1:123456789012:bounces", "bounces"} {
		if _, err := events.ParseTopics(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
