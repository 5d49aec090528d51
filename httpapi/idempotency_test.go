package httpapi_test

import (
	"bufio"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/httpapi"
)

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	fields := []field{file(people(3))}
	first := h.upload(fields, "Idempotency-Key", "k 1~")
	h.want(first, 200)
	id := as[importBody](t, first).ID

	again := h.upload(fields, "Idempotency-Key", "k 1~")
	h.want(again, 200)
	if got := as[importBody](t, again); got.ID != id || got.Imported != 3 {
		t.Errorf("the same upload led to %s", again.body)
	}
	h.wantProblem(h.upload([]field{file(people(4))}, "Idempotency-Key", "k 1~"), 422, "idempotency_key_reused")
	h.wantProblem(h.upload([]field{file(people(3)), {name: "dry_run", value: "true"}}, "Idempotency-Key", "k 1~"), 422, "idempotency_key_reused")

	other := uploadCall(fields, "Idempotency-Key", "k 1~")
	other.token = h.token("imports")
	a := h.do(other)
	h.want(a, 200)
	if as[importBody](t, a).ID == id {
		t.Error("another caller's key led to the same import")
	}
	a = h.upload(fields, "Idempotency-Key", "k 2")
	h.want(a, 200)
	if as[importBody](t, a).ID == id {
		t.Error("another key led to the same import")
	}
}

func TestIdempotencyKeyOfAFailedImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	fields := []field{file("nothing\n")}
	first := h.wantProblem(h.upload(fields, "Idempotency-Key", "k"), 422, "missing_column")
	again := h.wantProblem(h.upload(fields, "Idempotency-Key", "k"), 422, "missing_column")
	if first.ImportID != again.ImportID {
		t.Errorf("%s and %s", first.ImportID, again.ImportID)
	}
}

func TestKeyLeadsToItsImportWithoutTheFile(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	own := uploadCall([]field{file(people(1))}, "Idempotency-Key", "k 1&")
	own.token = h.token("imports")
	want := as[importBody](t, h.do(own)).ID
	h.want(h.upload([]field{file(people(1))}, "Idempotency-Key", "k 2"), 200)
	for key, found := range map[string][]string{"k+1%26": {want}, "k+2": nil, "k": nil} {
		a := h.do(call{method: "GET", path: importsPath + "?idempotency_key=" + key, token: own.token})
		h.want(a, 200)
		var ids []string
		for _, i := range as[listBody[importBody]](t, a).Items {
			ids = append(ids, i.ID)
		}
		if !slices.Equal(ids, found) {
			t.Errorf("%s led to %v, want %v", key, ids, found)
		}
	}
	// Even callers who see all imports cannot see the keys of others.
	if a := h.get(importsPath + "?idempotency_key=k+1%26"); len(as[listBody[importBody]](t, a).Items) != 0 {
		t.Errorf("another caller's key: %s", a.body)
	}
}

func TestIdempotencyKeyMustBePrintable(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	for _, key := range []string{"ä", "a\tb", strings.Repeat("k", 256)} {
		p := h.wantProblem(h.upload([]field{file(people(1))}, "Idempotency-Key", key), 400, "invalid_parameter")
		if len(p.Errors) != 1 || p.Errors[0].Parameter != "Idempotency-Key" {
			t.Errorf("%+v", p)
		}
	}
	c := uploadCall([]field{file(people(1))})
	c.header["Idempotency-Key"] = []string{"a", "b"}
	h.wantProblem(h.do(c), 400, "invalid_parameter")
	h.want(h.upload([]field{file(people(1))}, "Idempotency-Key", strings.Repeat("k", 255)), 202)
}

// TestKeyStillArriving: while the first upload with a key arrives, however
// small and slow, a second one is rejected at once; a first one that breaks off
// leaves nothing behind.
func TestKeyStillArriving(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	token := h.token("imports")
	for name, begin := range map[string]string{
		"header": "", "small": "email,name\n", "large": "email,name\n" + strings.Repeat("\n", 2<<20),
	} {
		conn := h.slowly(begin, "Idempotency-Key: "+name+"\r\n", "Expect: 100-continue\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "100 Continue") { // it is being read
			t.Fatalf("%s: %q, %v", name, line, err)
		}
		again := h.upload([]field{file(people(2))}, "Idempotency-Key", name)
		if h.wantProblem(again, 409, "idempotency_key_in_use"); again.header.Get("Retry-After") == "" {
			t.Errorf("%s: when to come again is not told", name)
		}
		other := uploadCall([]field{file(people(1))}, "Idempotency-Key", name)
		other.token = token
		h.want(h.do(other), 200) // the key of another caller is another key
		conn.Close()
		for again.status == 409 { // until the test's time is over
			again = h.upload([]field{file(people(2))}, "Idempotency-Key", name)
		}
		h.want(again, 200)
	}
}

func TestHundredPostsWithOneKeyAreOneImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			a, err := h.try(uploadCall([]field{file(people(20))}, "Idempotency-Key", "one"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case 200, 202:
				seen[as[importBody](t, a).ID]++
			case 409:
				if p := as[problemBody](t, a); p.Code != "idempotency_key_in_use" || a.header.Get("Retry-After") == "" {
					t.Errorf("%+v", p)
				}
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("imports %v", seen)
	}
	if n := len(as[listBody[importBody]](t, h.get(importsPath)).Items); n != 1 {
		t.Errorf("%d imports", n)
	}
}
