package jobs

import (
	"slices"
	"testing"
	"time"
)

func TestImportPriority(t *testing.T) {
	t.Parallel()
	var told []bool
	p := importPriority{importing: func(yes bool) { told = append(told, yes) }}
	now := time.Now()
	wait := func(when string, want bool) {
		t.Helper()
		if got := p.deferMail(now); got != want {
			t.Errorf("%s: mail waits is %v, want %v", when, got, want)
		}
	}
	wait("with nothing to do", false)
	p.begin(now)
	wait("during an import", true)
	now = now.Add(2 * time.Second)
	p.end(now, true)
	wait("when it was handed back", true)
	now = now.Add(resumeGrace / 2)
	p.begin(now)
	p.begin(now)
	p.end(now, false)
	wait("when one of two has ended", true)
	now = now.Add(maxMailDelay - 3*time.Second)
	wait("before the head start is over", true)
	now = now.Add(time.Second)
	wait("after it", false)
	p.end(now, true)
	now = now.Add(resumeGrace)
	wait("when no worker resumed it", false)
	p.begin(now)
	wait("when imports come again after a break", true)
	p.end(now, false)
	wait("when the last one has ended", false)
	if want := []bool{true, false, true, false, true, false}; !slices.Equal(told, want) {
		t.Errorf("told of imports: %v, want %v", told, want)
	}
}
