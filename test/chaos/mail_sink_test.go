//go:build unix

package chaos_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"rollcall/test/smtptest"
)

// mailSink is a mail server that keeps only the recipient and the Message-ID of
// each mail, which is enough to find duplicates.
type mailSink struct {
	*smtptest.Server

	mu    sync.Mutex
	mails map[string]map[string]int // recipient, Message-ID: how often
	all   int
	kept  map[string]string // the last mail to each recipient in question
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: <([^>]+)>`)

func openPostbox(t *testing.T, config smtptest.Config) *mailSink {
	t.Helper()
	p := &mailSink{mails: map[string]map[string]int{}, kept: map[string]string{}}
	config.Took = p.take
	config.Extensions = append(config.Extensions, "PIPELINING")
	p.Server = smtptest.Start(t, config)
	return p
}

func (p *mailSink) url() string { return fmt.Sprintf("smtp://localhost:%d?tls=none", p.Port()) }

func (p *mailSink) take(m smtptest.Mail) {
	id := "none"
	if found := messageID.FindStringSubmatch(m.Data); found != nil {
		id = found[1]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mails[m.To] == nil {
		p.mails[m.To] = map[string]int{}
	}
	p.mails[m.To][id]++
	if _, wanted := p.kept[m.To]; wanted {
		p.kept[m.To] = m.Data
	}
	p.all++
}

// delivered is what recipients got.
type delivered struct {
	Mails      int // all of them
	People     int // who got one or more
	Duplicates int // mails to a person beyond the first
	Strangers  int // people whose mails have more than one Message-ID
}

func (p *mailSink) delivered() (d delivered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.Mails, d.People = p.all, len(p.mails)
	d.Duplicates = d.Mails - d.People
	for _, ids := range p.mails {
		if len(ids) > 1 {
			d.Strangers++
		}
	}
	return d
}

// got returns how many mails a person got.
func (p *mailSink) got(address string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.mails[address] {
		n += times
	}
	return n
}

// keep starts keeping the whole mails to one person.
func (p *mailSink) keep(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[address] = ""
}

var inviteLink = regexp.MustCompile(`/invite/[^\s"<>]+`)

// link returns the path of the latest link that a person got.
func (p *mailSink) link(address string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return inviteLink.FindString(strings.ReplaceAll(p.kept[address], "=\r\n", "")) // quoted-printable breaks long lines
}
