//go:build unix

package chaos_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// load is a set of files to import and the expected result.
type load struct {
	files  []string
	people []string // the addresses that must be users at the end, sorted
	mailed []string // those of them that are invited
	quiet  bool     // no one in the first file is invited
}

// newLoad makes n files of the given number of rows each. Every address is in
// one file only; about one row in a hundred fails, some of them because they
// repeat an earlier row.
func newLoad(name string, n, rows int) (l load) {
	for f := range n {
		var b strings.Builder
		b.WriteString("email,name,role,department\n")
		for i := range rows {
			switch {
			case i%200 == 17:
				fmt.Fprintf(&b, "%s-%d-%d.example.com,Person %d,user,Sales\n", name, f, i, i)
			case i%200 == 117:
				fmt.Fprintf(&b, "%s-%d-%d@example.com,\"Person, %d again\",user,Sales\n", name, f, i-1, i)
			default:
				address := fmt.Sprintf("%s-%d-%d@example.com", name, f, i)
				l.people = append(l.people, address)
				fmt.Fprintf(&b, "%s,Person %d,%s,Sales\n", address, i, [...]string{"user", "Admin", ""}[i%3])
			}
		}
		l.files = append(l.files, b.String())
	}
	slices.Sort(l.people)
	l.mailed = l.people
	return l
}

// patience is how long sending the mail of a load may take: ten milliseconds
// each, which is three times what one worker needs on two cores, and some
// minutes to start.
func (l load) patience() time.Duration {
	return 4*time.Minute + time.Duration(len(l.mailed))*10*time.Millisecond
}

// after puts a file of people who are not invited in front: rows to be busy
// with.
func (l load) after(first load) load {
	return load{
		files:  slices.Concat(first.files, l.files),
		people: slices.Sorted(slices.Values(slices.Concat(first.people, l.people))),
		mailed: l.mailed, quiet: true,
	}
}

// outcome is everything visible of finished imports. Two runs of the same load
// must have equal ones.
type outcome struct {
	Imports []string // status and counts, in the order of the files
	Reports []string // SHA-256 of errors.csv
	Users   string   // their number, and the SHA-256 of their data
}

// upload posts every file at once and returns the ids.
func (l load) upload(h *testEnv, options ...string) (ids []string) {
	h.Helper()
	for k := range l.files {
		ids = append(ids, l.uploadOne(h, k, options...))
	}
	return ids
}

func (l load) uploadOne(h *testEnv, k int, options ...string) string {
	h.Helper()
	if k == 0 && l.quiet {
		options = append(options, "send_invitations", "false")
	}
	return h.upload(l.files[k], options...)
}

// outcome waits for imports to end and their invitations to be sent.
func (h *testEnv) outcome(l load, ids []string) (o outcome) {
	h.Helper()
	deadline := time.Now().Add(l.patience())
	for _, id := range ids {
		i := h.until(id, time.Until(deadline), mailed)
		total := int64(-1)
		if i.Total != nil {
			total = *i.Total
		}
		o.Imports = append(o.Imports, fmt.Sprintf("%s total=%d checked=%d valid=%d processed=%d imported=%d updated=%d failed=%d",
			i.Status, total, i.Checked, i.Valid, i.Processed, i.Imported, i.Updated, i.Failed))
		report := h.get("/api/admin/users/imports/" + id + "/errors.csv")
		if report.status != 200 {
			h.Fatalf("errors.csv was answered with %d\n%s", report.status, report.body)
		}
		o.Reports = append(o.Reports, fmt.Sprintf("%d bytes %x", len(report.body), sha256.Sum256(report.body)))
	}
	people := h.people()
	o.Users = fmt.Sprintf("%d %x", len(people), sha256.Sum256([]byte(strings.Join(people, "\n"))))
	return o
}

// people are the addresses of all users, sorted.
func (h *testEnv) people() (all []string) {
	h.Helper()
	rows, err := h.db.Query(`SELECT email FROM users`)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var email string
		if err := rows.Scan(&email); err != nil {
			h.Fatal(err)
		}
		all = append(all, email)
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// same fails the test unless an outcome equals that of the undisturbed run, the
// users are the expected ones, every invited user counts as sent a mail, and
// the counters are right.
func (h *testEnv) same(l load, got, undisturbed outcome) {
	h.Helper()
	if !slices.Equal(got.Imports, undisturbed.Imports) {
		h.Errorf("counts differ from an undisturbed run:\n%s\nwant\n%s", strings.Join(got.Imports, "\n"), strings.Join(undisturbed.Imports, "\n"))
	}
	if !slices.Equal(got.Reports, undisturbed.Reports) {
		h.Errorf("errors.csv differs from an undisturbed run:\n%s\nwant\n%s", strings.Join(got.Reports, "\n"), strings.Join(undisturbed.Reports, "\n"))
	}
	if got.Users != undisturbed.Users {
		h.Errorf("users %s, want %s", got.Users, undisturbed.Users)
	}
	if !slices.Equal(h.people(), l.people) {
		h.Error("the users are not those in the files")
	}
	if sent := one[int](h, `SELECT sum(invites_sent) FROM imports`); sent != len(l.mailed) {
		h.Errorf("%d count as sent a mail, want %d", sent, len(l.mailed))
	}
	h.consistent()
}

// consistent compares the counters of the imports with what they count.
func (h *testEnv) consistent() {
	h.Helper()
	if drifted := one[int](h, `
		SELECT count(*) FROM imports i
		 WHERE (i.invites_held, i.invites_pending, i.invites_sent, i.invites_failed) IS DISTINCT FROM
		       (SELECT (count(*) FILTER (WHERE v.status = 'held'), count(*) FILTER (WHERE v.status = 'pending'),
		                count(*) FILTER (WHERE v.status = 'sent'), count(*) FILTER (WHERE v.status = 'failed'))
		          FROM invitations v WHERE v.import_id = i.id)
		    OR i.imported <> (SELECT count(*) FROM users u WHERE u.import_id = i.id)`); drifted > 0 {
		h.Errorf("%d imports whose counters are off", drifted)
	}
}

// undisturbed runs a load in an environment of its own, without faults. It
// sends no invitations: the expected mail is known without it.
func undisturbed(h *testEnv, l load) outcome {
	h.Helper()
	calm := newTestEnv(h.T, envOptions{})
	api, worker := calm.startAPI(), calm.startWorker()
	var ids []string
	for _, file := range l.files {
		ids = append(ids, calm.upload(file, "send_invitations", "false"))
	}
	o := calm.outcome(l, ids)
	worker.Stop()
	api.Stop()
	if !slices.Equal(calm.people(), l.people) {
		h.Fatal("the undisturbed run did not make the expected users")
	}
	return o
}

// delivered fails the test unless everyone invited got a mail, and at most most
// mails were duplicates.
func (h *testEnv) delivered(l load, most int) delivered {
	h.Helper()
	d := h.post.delivered()
	for _, address := range l.mailed {
		if h.post.got(address) == 0 {
			h.Errorf("%s was invited and never written to", address)
			break
		}
	}
	if d.People != len(l.mailed) || d.Duplicates > most || d.Strangers > 0 {
		h.Errorf("%+v, want %d people, at most %d duplicates, and those under the same Message-ID", d, len(l.mailed), most)
	}
	return d
}
