//go:build unix

package chaos_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/smtptest"
)

// postbox is a mail server that keeps of each mail who got it and its
// Message-ID, which is enough to tell what came twice.
type postbox struct {
	*smtptest.Server

	mu    sync.Mutex
	mails map[string]map[string]int // recipient, Message-ID: how often
	all   int
	kept  map[string]string // of those asked for, the mail that came last
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: <([^>]+)>`)

func openPostbox(t *testing.T, config smtptest.Config) *postbox {
	t.Helper()
	p := &postbox{mails: map[string]map[string]int{}, kept: map[string]string{}}
	config.Took = p.take
	config.Extensions = append(config.Extensions, "PIPELINING")
	p.Server = smtptest.Start(t, config)
	return p
}

func (p *postbox) url() string { return fmt.Sprintf("smtp://localhost:%d?tls=none", p.Port()) }

func (p *postbox) take(m smtptest.Mail) {
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

// delivered is what reached people.
type delivered struct {
	Mails      int // all of them
	People     int // who got one or more
	Duplicates int // mails beyond the first to one person
	Strangers  int // people whose mails bear more than one Message-ID
}

func (p *postbox) delivered() (d delivered) {
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

// got reports how often a person was written to.
func (p *postbox) got(address string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.mails[address] {
		n += times
	}
	return n
}

// keep has the mails to one person kept whole.
func (p *postbox) keep(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[address] = ""
}

var inviteLink = regexp.MustCompile(`/invite/[^\s"<>]+`)

// link is the path of the link that a person got last.
func (p *postbox) link(address string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return inviteLink.FindString(strings.ReplaceAll(p.kept[address], "=\r\n", "")) // quoted-printable breaks long lines
}
