package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/web/sanitize"
)

// Mail is one captured email. Its JSON form is that of /dev/mail.
type Mail struct {
	ID         string    `json:"id"`
	To         string    `json:"to"` // recipients, joined by ", "
	From       string    `json:"from"`
	Subject    string    `json:"subject"`
	ReceivedAt time.Time `json:"received_at"` // UTC
	Text       string    `json:"text"`        // plain-text body, "" if there is none
	HTML       string    `json:"html"`        // HTML body, "" if there is none
	Links      []string  `json:"links"`       // of both bodies; never nil
}

// mailbox holds captured mail.
type mailbox interface {
	// All yields every mail, newest first, and ends after an error.
	All() iter.Seq2[Mail, error]
	// Get returns one mail; found is false if it was never captured or was
	// already dropped.
	Get(id string) (mail Mail, found bool, err error)
}

var errNoMail = errors.New("no such mail")

// mailPageSize is how many mails the HTML list shows at a time.
const mailPageSize = 50

// mailListView lists captured mail, newest first.
type mailListView struct {
	To    string // only mail to recipients with this in their address
	Mails []Mail
	Older string // path of the next page, "" on the last
}

func (mailListView) pageMeta() pageMeta {
	return pageMeta{Template: "mailbox", Title: "Captured emails", Section: sectionMail}
}

// mailView shows one captured mail.
type mailView struct{ Mail Mail }

func (v mailView) pageMeta() pageMeta {
	title := v.Mail.Subject
	if title == "" {
		title = "(no subject)"
	}
	return pageMeta{Template: "mailbox_mail", Title: title, Section: sectionMail}
}

// wantsJSON reports whether the client asks for JSON rather than a page.
func wantsJSON(c *gin.Context) bool {
	c.Header("Vary", "Accept")
	return c.NegotiateFormat(gin.MIMEHTML, gin.MIMEJSON) == gin.MIMEJSON
}

// listMail lists captured mail: all of it as JSON, page by page as HTML.
// Parameters: to, part of a recipient's address; limit, the maximum number of
// mails (JSON only); before, the id of the last mail of the previous page.
func (s *Site) listMail(c *gin.Context) error {
	to := strings.TrimSpace(c.Query("to"))
	limit, _ := strconv.Atoi(c.Query("limit"))
	mails := addressed(s.deps.Mailbox.All(), to)
	if wantsJSON(c) {
		return writeMails(c, first(mails, limit))
	}
	v := mailListView{To: to}
	for mail, err := range behind(mails, c.Query("before")) {
		if err != nil {
			return err
		}
		if len(v.Mails) == mailPageSize {
			v.Older = pathWith("/dev/mail", "to", to, "before", v.Mails[mailPageSize-1].ID)
			break
		}
		v.Mails = append(v.Mails, mail)
	}
	return s.show(c, http.StatusOK, nil, v)
}

// writeMails writes a JSON array, one mail in memory at a time.
func writeMails(c *gin.Context, mails iter.Seq2[Mail, error]) error {
	c.Header("Content-Type", "application/json; charset=utf-8")
	separator := "["
	for mail, err := range mails {
		if err != nil {
			return err
		}
		raw, err := json.Marshal(mail)
		if err != nil {
			return err
		}
		if _, err := c.Writer.WriteString(separator + string(raw)); err != nil {
			return fmt.Errorf("write mails: %w", err)
		}
		separator = ",\n"
	}
	end := "]\n"
	if separator == "[" {
		end = "[]\n"
	}
	_, err := c.Writer.WriteString(end)
	return err
}

func (s *Site) capturedMail(c *gin.Context) (Mail, error) {
	mail, found, err := s.deps.Mailbox.Get(c.Param("id"))
	if err == nil && !found {
		err = errNoMail
	}
	return mail, err
}

func (s *Site) showMail(c *gin.Context) error {
	mail, err := s.capturedMail(c)
	if err != nil {
		return err
	}
	if wantsJSON(c) {
		c.JSON(http.StatusOK, mail)
		return nil
	}
	// The frame below shows the mail unchanged.
	c.Header("Content-Security-Policy", contentPolicy+"; frame-src 'self'")
	return s.show(c, http.StatusOK, nil, mailView{mail})
}

// mailPolicy allows a mail its styles, see mailPage, and nothing active: no
// scripts, no forms, and no requests except for embedded images. Links open in
// a new tab, outside the sandbox.
const mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; form-action 'none'; frame-ancestors 'self'; base-uri 'none'"

func (s *Site) showMailHTML(c *gin.Context) error {
	mail, err := s.capturedMail(c)
	if err != nil {
		return err
	}
	return s.writeMail(c, mail.HTML)
}

// writeMail answers with a mail by itself, for a frame on a page of ours.
func (s *Site) writeMail(c *gin.Context, html string) error {
	body, styles, err := sanitize.MailPage(html)
	if err != nil {
		return err
	}
	policy := mailPolicy
	if styles != "" {
		policy += "; style-src " + styles
	}
	c.Header("Content-Security-Policy", policy)
	c.Header("X-Frame-Options", "SAMEORIGIN")
	c.Data(http.StatusOK, "text/html; charset=utf-8", body)
	return nil
}

// addressed keeps the mails to recipients whose address contains to.
func addressed(mails iter.Seq2[Mail, error], to string) iter.Seq2[Mail, error] {
	to = strings.ToLower(to)
	return func(yield func(Mail, error) bool) {
		for mail, err := range mails {
			if (err != nil || strings.Contains(strings.ToLower(mail.To), to)) && !yield(mail, err) {
				return
			}
		}
	}
}

// first keeps at most limit mails; 0 or less means all.
func first(mails iter.Seq2[Mail, error], limit int) iter.Seq2[Mail, error] {
	return func(yield func(Mail, error) bool) {
		n := 0
		for mail, err := range mails {
			n++
			if !yield(mail, err) || n == limit {
				return
			}
		}
	}
}

// behind keeps the mails after the one with the id last, or all of them if last
// is "" or was dropped.
func behind(mails iter.Seq2[Mail, error], last string) iter.Seq2[Mail, error] {
	before, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return mails
	}
	return func(yield func(Mail, error) bool) {
		for mail, err := range mails {
			id, bad := strconv.ParseUint(mail.ID, 10, 64)
			if (err != nil || bad == nil && id < before) && !yield(mail, err) {
				return
			}
		}
	}
}
