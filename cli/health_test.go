package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/cli"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"ready":     {[]string{server.URL + "/ready"}, 0, ""},
		"not ready": {[]string{server.URL + "/"}, 1, "503"},
		"away":      {[]string{gone.URL}, 1, "ealth check: "},
		"no URL":    {[]string{"::"}, 1, "ealth check: "},
		"too many":  {[]string{"a", "b"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			code := cli.Run(t.Context(), append([]string{"health"}, c.args...), cli.Console{Stdout: &out, Stderr: &errs})
			if code != c.code || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit code %d, says %q; want %d, %q", code, errs.String(), c.code, c.says)
			}
		})
	}
}
