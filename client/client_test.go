package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rollcall/apitypes"
	"rollcall/client"
	"rollcall/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-that-is-long-enough-for-anything"

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "example.com", "ftp://example.com", "http://", "http://u:pw@example.com", "http://example.com/path", "http://example.com?q", "http://a b"} {
		if _, err := client.New(address, token, client.Config{}); !errors.Is(err, client.ErrAddress) || strings.Contains(err.Error(), "pw") {
			t.Errorf("address %q: %v", address, err)
		}
	}
	for _, token := range []string{"", "two words", "line\nbreak", "ünicode"} {
		if _, err := client.New("http://example.com", token, client.Config{}); !errors.Is(err, client.ErrToken) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	c, err := client.New("https://example.com:8443/", token, client.Config{})
	if err != nil || c.Address() != "https://example.com:8443" {
		t.Errorf("%v, %v", c.Address(), err)
	}
}

// serve responds with handler, and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, token, client.Config{RetryFor: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// content is an upload of this text under a key.
func content(text string) client.Upload {
	return client.Upload{
		Filename: "people \"x\".csv", Key: "key", Size: int64(len(text)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}
}

// seven is the id of the import that the server answers with.
var seven = uuid.MustParse("01920000-0000-7000-8000-000000000007")

const queued = `{"id":"01920000-0000-7000-8000-000000000007","status":"queued","created_at":"2026-01-02T03:04:05Z"}`

func TestUploadSends(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789", 300_000)
	for _, size := range []int64{int64(len(big)), -1} {
		var sent atomic.Int64
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			fields := map[string]string{}
			parts, err := r.MultipartReader()
			if err != nil {
				t.Error(err)
				return
			}
			var order []string
			for {
				part, err := parts.NextPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Error(err)
					return
				}
				value, _ := io.ReadAll(part)
				fields[part.FormName()] = string(value)
				order = append(order, part.FormName())
				if part.FormName() == "file" && part.FileName() != `people "x".csv` {
					t.Errorf("file name %q", part.FileName())
				}
			}
			if (r.ContentLength >= 0) != (size >= 0) {
				t.Errorf("Content-Length %d for size %d", r.ContentLength, size)
			}
			for name, want := range map[string]string{
				"Authorization": "Bearer " + token, "Prefer": "respond-async", "Idempotency-Key": "key", "Expect": "100-continue",
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			want := "dry_run on_duplicate send_invitations encoding delimiter mapping file"
			if got := strings.Join(order, " "); got != want {
				t.Errorf("parts %s, want %s", got, want)
			}
			if fields["file"] != big || fields["mapping"] != `{"email":"E-Mail","name":"Who"}` || fields["send_invitations"] != "false" {
				t.Errorf("fields differ: %d bytes, %s", len(fields["file"]), fields["mapping"])
			}
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, queued)
		})
		u := content(big)
		u.Size, u.Sent = size, func(n int64) { sent.Store(n) }
		u.Options = client.Options{DryRun: true, OnDuplicate: "update", NoInvitations: true, Encoding: "auto", Delimiter: "tab",
			Mapping: map[string]string{"name": "Who", "email": "E-Mail"}}
		i, err := c.Upload(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if i.ID != seven || i.Status != roster.Queued || string(i.Raw) != queued {
			t.Errorf("%+v", i)
		}
		if n := sent.Load(); n != int64(len(big)) {
			t.Errorf("told of %d bytes", n)
		}
	}
}

func TestUploadIsRefusedBeforeTheFileGoesOut(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("X-Request-Id", "r1")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		io.WriteString(w, `{"title":"File too large","detail":"At most 9 bytes.","code":"file_too_large","errors":[{"parameter":"file","detail":"d"}]}`)
	})
	u := content(strings.Repeat("x", 50<<20))
	var sent atomic.Int64
	u.Sent = func(n int64) { sent.Store(n) }
	_, err := c.Upload(t.Context(), u)
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok || problem.Status != 413 || problem.Code != "file_too_large" || problem.RequestID != "r1" || problem.Error() != "File too large: At most 9 bytes." {
		t.Errorf("%#v", err)
	}
	if n := sent.Load(); n != 0 {
		t.Errorf("%d bytes went out", n)
	}
}

func TestUploadTriesAgain(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	answer := func(w http.ResponseWriter, status int, retry, body string) {
		if retry != "" {
			w.Header().Set("Retry-After", retry)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch tries.Add(1) {
		case 1:
			answer(w, http.StatusServiceUnavailable, "0", `{"title":"Away"}`)
		case 2:
			io.CopyN(io.Discard, r.Body, 10)
			panic(http.ErrAbortHandler) // in the middle of the upload
		case 3:
			answer(w, http.StatusConflict, "0", `{"title":"Still arriving"}`)
		default:
			body, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Contains(body, []byte("the whole file")) {
				t.Errorf("a later try sends %q, %v", body, err)
			}
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, queued)
		}
	})
	if _, err := c.Upload(t.Context(), content("the whole file")); err != nil {
		t.Fatal(err)
	}
	if n := tries.Load(); n != 4 {
		t.Errorf("%d tries", n)
	}

	tries.Store(0)
	u := content("the whole file")
	u.Key = ""
	if _, err := c.Upload(t.Context(), u); err == nil || tries.Load() != 1 {
		t.Errorf("without a key: %d tries, %v", tries.Load(), err)
	}
}

func TestUploadOfAFileThatFailsAtOnce(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"title":"Missing column","code":"missing_column","import_id":"01920000-0000-7000-8000-000000000007"}`)
			return
		}
		fmt.Fprintf(w, `{"id":%q,"status":"failed"}`, path.Base(r.URL.Path))
	})
	i, err := c.Upload(t.Context(), content("x"))
	if err != nil || i.Status != roster.Failed || i.ID != seven {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestUploadOfAFileThatShrinks(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	u := content("short")
	u.Size = 1000
	if _, err := c.Upload(t.Context(), u); !errors.Is(err, client.ErrFileChanged) {
		t.Errorf("%v", err)
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>It works!</h1>") }, "not an import"},
		{"not found", http.NotFound, "status 404 without an error"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stolen" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "http://"+r.Host+"/stolen", http.StatusPermanentRedirect)
		}, "it redirects to http://127.0.0.1:"},
		{"flood", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"id":"01920000-0000-7000-8000-000000000007","status":"`+strings.Repeat("x", 17<<20)+`"}`)
		}, "not an import"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			there := serve(t, c.answer)
			_, uploading := there.Upload(t.Context(), content("x"))
			_, asking := there.Import(t.Context(), seven)
			for _, err := range []error{uploading, asking} {
				if !errors.Is(err, client.ErrNotRollcall) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	c, other := serve(t, nil), serve(t, nil)
	foreign, err := client.New("http://example.com", token+"x", client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	key := func(c *client.Client, text string, o client.Options, salt string) string {
		key, err := c.Key(strings.NewReader(text), o, salt)
		if err != nil || len(key) == 0 || len(key) > 255 || strings.Contains(key, token) {
			t.Fatalf("%q, %v", key, err)
		}
		return key
	}
	same := key(c, "text", client.Options{Mapping: map[string]string{"name": "a", "email": "b"}}, "")
	if got := key(other, "text", client.Options{Mapping: map[string]string{"email": "b", "name": "a"}}, ""); got != same {
		t.Error("equal uploads have different keys")
	}
	seen := map[string]int{}
	for n, k := range []string{same, key(c, "texu", client.Options{}, ""), key(c, "text", client.Options{}, ""), key(c, "text", client.Options{DryRun: true}, ""),
		key(c, "text", client.Options{}, "again"), key(foreign, "text", client.Options{}, "")} {
		if before, ok := seen[k]; ok {
			t.Errorf("uploads %d and %d share a key", before, n)
		}
		seen[k] = n
	}
}

// transport replaces the network, so that synctest can control the time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, header http.Header, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asked := 0
		var questions []string
		var waits []time.Duration
		c, err := client.New("http://example.com", token, client.Config{
			Retrying: func(_ error, wait time.Duration) { waits = append(waits, wait) },
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked++
				questions = append(questions, r.Header.Get("If-None-Match")+r.Header.Get("Prefer"))
				etag := http.Header{"Etag": {`"` + strconv.Itoa(asked) + `"`}}
				switch asked {
				case 1, 2:
					return reply(200, etag, fmt.Sprintf(`{"id":"01920000-0000-7000-8000-000000000007","status":"checking","checked":%d}`, asked))
				case 3: // nothing happened for as long as the server waits
					time.Sleep(30 * time.Second)
					return reply(304, etag, "")
				case 4:
					return nil, io.ErrUnexpectedEOF
				case 5:
					return reply(503, http.Header{"Retry-After": {"20"}}, "")
				default:
					return reply(200, etag, `{"id":"01920000-0000-7000-8000-000000000007","status":"completed"}`)
				}
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		i, err := c.Follow(t.Context(), &client.Import{Import: apitypes.Import{ID: seven, Status: roster.Queued}}, func(i *client.Import) {
			seen = append(seen, fmt.Sprint(i.Status, i.Checked))
		})
		if err != nil || i.Status != roster.Completed {
			t.Fatalf("%+v, %v", i, err)
		}
		if got := strings.Join(seen, " "); got != "checking1 checking2 completed0" {
			t.Errorf("seen %v", got)
		}
		// Each question names the last revision seen; the first has none.
		if got := strings.Join(questions, " "); got != ` "1"wait=30 "2"wait=30 "2"wait=30 "2"wait=30 "2"wait=30` {
			t.Errorf("questions %v", got)
		}
		if len(waits) != 2 || waits[0] > time.Second || waits[1] != 20*time.Second {
			t.Errorf("waits %v", waits)
		}
		if spent := time.Since(began); spent < 50*time.Second || spent > 55*time.Second {
			t.Errorf("it took %v", spent)
		}
	})
}

func TestFollowGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		c, err := client.New("http://example.com", token, client.Config{
			RetryFor:  time.Minute,
			Transport: transport(func(*http.Request) (*http.Response, error) { tries++; return nil, io.ErrUnexpectedEOF }),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Follow(t.Context(), &client.Import{Import: apitypes.Import{ID: seven}}, nil)
		if silence, ok := errors.AsType[*client.ConnectionError](err); !ok || silence.Host != "example.com" {
			t.Errorf("%v", err)
		}
		if spent := time.Since(began); spent < 45*time.Second || spent > time.Minute || tries > 30 {
			t.Errorf("%d tries in %v", tries, spent)
		}
	})
}

func TestFollowDoesNotInsist(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404, 410, 500} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c, err := client.New("http://example.com", token, client.Config{
				Transport: transport(func(*http.Request) (*http.Response, error) {
					tries++
					return reply(status, http.Header{"Content-Type": {"application/problem+json"}}, `{"title":"No"}`)
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = c.Follow(t.Context(), &client.Import{Import: apitypes.Import{ID: seven}}, nil); err == nil || tries != 1 {
				t.Errorf("%d: %d tries, %v", status, tries, err)
			}
		})
	}
}

func TestFollowIsCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := client.New("http://example.com", token, client.Config{
			Transport: transport(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := c.Follow(ctx, &client.Import{Import: apitypes.Import{ID: seven}}, nil); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestErrorReport(t *testing.T) {
	t.Parallel()
	torn := false
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if torn {
			w.Header().Set("Content-Length", "100")
		}
		io.WriteString(w, "email,error_row\n")
	})
	var got bytes.Buffer
	if n, err := c.ErrorReport(t.Context(), seven, client.CSV, &got); err != nil || got.String() != "email,error_row\n" || n != 16 {
		t.Errorf("%q, %d, %v", got.String(), n, err)
	}
	torn = true
	if _, err := c.ErrorReport(t.Context(), seven, client.CSV, &got); err == nil {
		t.Error("half a report is no error")
	}
}
