//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"rollcall/auth"
	"rollcall/storage"
)

// measurePanel makes an administrator import 200,000 rows through the pages,
// with other users present, and measures meanwhile how fast pages respond and
// how often the page that follows the import gets an update.
func measurePanel(ctx context.Context, l *env) ([]Line, error) {
	rows := l.scaled(200_000)
	path, err := l.file(ctx, fileOf{rows: rows, errors: 1})
	if err != nil {
		return nil, err
	}
	while := fmt.Sprintf("while %s rows go in", thousands(rows))
	pages := []struct {
		path, what string
		wanted     goal
		every      int // visited in every so many rounds through the pages
	}{
		{"", "the import's page", atMost(50), 1},
		{"/progress", "the import's numbers", atMost(50), 1},
		{"/admin/users", "the list of users", atMost(50), 1},
		{"/admin/users?sort=status", "users by status", atMost(50), 1},
		{"/admin/users?sort=name", "users by name", goal{}, 10}, // these two look at every user
		{"/admin/users?q=nobody+here", "a search without results", goal{}, 10},
	}
	lines := make([]Line, len(pages)+1)
	for i, page := range pages {
		lines[i] = Line{What: page.what + ", 99th percentile " + while, Unit: "ms", Wanted: page.wanted}
	}
	told := &lines[len(pages)]
	*told = Line{What: "events to the page that follows it", Unit: "a second", Wanted: atMost(2.1)}
	err = l.rounds(3, func(int) (err error) {
		h, err := l.open(ctx, settings{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		v, err := h.signIn(ctx)
		if err != nil {
			return err
		}
		at, err := v.preview(ctx, path)
		if err != nil {
			return err
		}
		took := make([][]float64, len(pages))
		looking, stop := context.WithCancel(ctx)
		var visits sync.WaitGroup
		visits.Go(func() {
			for n := 0; looking.Err() == nil || n < len(pages) && ctx.Err() == nil; n++ { // each once at least
				i := n % len(pages)
				if n/len(pages)%pages[i].every != 0 {
					continue
				}
				where := pages[i].path
				if !strings.HasPrefix(where, "/admin") {
					where = at + where
				}
				began := time.Now()
				if _, _, err := v.get(ctx, where); err == nil {
					took[i] = append(took[i], float64(time.Since(began).Microseconds())/1000)
				}
				time.Sleep(betweenVisits)
			}
		})
		var events int
		var lasted time.Duration
		if err = v.confirm(ctx, at); err == nil {
			events, lasted, err = v.follow(ctx, at)
		}
		stop()
		if visits.Wait(); err != nil {
			return err
		}
		for i := range pages {
			if len(took[i]) == 0 {
				return fmt.Errorf("%s was not answered once", pages[i].what)
			}
			lines[i].Ours = append(lines[i].Ours, percentile(took[i], 0.99))
			lines[i].Note = fmt.Sprintf("of %d answers, half within %.0f ms", len(took[i]), percentile(took[i], 0.5))
		}
		told.Ours = append(told.Ours, float64(max(0, events-1))/max(1, lasted.Seconds())) // the first event is the state at the start
		told.Note = fmt.Sprintf("%d in %.1f s; the API took at most %.0f MB of memory", events, lasted.Seconds(), h.api.peak())
		return nil
	})
	return lines, err
}

// betweenVisits is the administrator's pause between two pages.
const betweenVisits = 10 * time.Millisecond

// visitor is a browser with an administrator signed in.
type visitor struct {
	*installation
	client *http.Client
}

func (h *installation) signIn(ctx context.Context) (*visitor, error) {
	const email, password = "admin@example.org", "nine patient otters swim"
	hash, err := auth.NewHasher(auth.HasherConfig{}).Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(h.databaseURL(h.database), storage.Options{MaxConns: 1})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := store.EnsureAdmin(ctx, storage.NewUser{Email: email, EmailKey: email, Name: "Admin", PasswordHash: hash}); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{installation: h, client: &http.Client{Jar: jar}}
	_, _, err = v.send(ctx, "/signin", url.Values{"email": {email}, "password": {password}})
	return v, err
}

// preview uploads a file on the page and waits until it has been checked. at is
// the path of the import's page.
func (v *visitor) preview(ctx context.Context, file string) (at string, err error) {
	body, contentType, err := form(file, []string{"dry_run", "true", "send_invitations", "false"})
	if err != nil {
		return "", err
	}
	defer body.Close()
	_, at, err = v.do(ctx, http.MethodPost, "/admin/users/import", body, contentType)
	for err == nil {
		var text string
		if text, _, err = v.get(ctx, at+"/progress"); strings.Contains(text, `"status":"ready"`) {
			return at, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", err
}

var adminsAgreed = regexp.MustCompile(`name="admins" value="(\d+)"`)

// confirm presses the button of the preview.
func (v *visitor) confirm(ctx context.Context, at string) error {
	page, _, err := v.get(ctx, at)
	if err != nil {
		return err
	}
	fields := url.Values{"send_invitations": {"false"}}
	if admins := adminsAgreed.FindStringSubmatch(page); admins != nil {
		fields.Set("admins", admins[1])
	}
	_, _, err = v.send(ctx, at+"/confirm", fields)
	return err
}

// follow reads the events of an import to the end of it.
func (v *visitor) follow(ctx context.Context, at string) (events int, lasted time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+at+"/events", nil)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	answer, err := v.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		switch lines.Text() {
		case "event: progress":
			events++
		case "event: end":
			return events, time.Since(began), nil
		}
	}
	return events, time.Since(began), errors.New("the events ended before the import did")
}

func (v *visitor) get(ctx context.Context, path string) (text, at string, err error) {
	return v.do(ctx, http.MethodGet, path, nil, "")
}

func (v *visitor) send(ctx context.Context, path string, fields url.Values) (text, at string, err error) {
	return v.do(ctx, http.MethodPost, path, strings.NewReader(fields.Encode()), "application/x-www-form-urlencoded")
}

// do requests a page and follows redirects: at is the path of the final
// response.
func (v *visitor) do(ctx context.Context, method, path string, body io.Reader, contentType string) (text, at string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, v.url+path, body)
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", contentType)
	answer, err := v.client.Do(r)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, raw)
	}
	return string(raw), answer.Request.URL.Path, err
}
