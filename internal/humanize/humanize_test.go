package humanize_test

import (
	"math"
	"testing"
	"time"

	"rollcall/internal/humanize"
)

func TestNumbersAndSizes(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		humanize.Number(0): "0", humanize.Number(999): "999", humanize.Number(1000): "1,000", humanize.Number(-1234567): "-1,234,567",
		humanize.Number(-123): "-123", humanize.Number(math.MinInt64): "-9,223,372,036,854,775,808",
		humanize.Count(1, "row", "rows"): "1 row", humanize.Count(0, "row", "rows"): "0 rows", humanize.Count(1200, "row", "rows"): "1,200 rows",
		humanize.Size(1): "1 byte", humanize.Size(1023): "1,023 bytes", humanize.Size(1024): "1 KiB", humanize.Size(1536): "1.5 KiB",
		humanize.Size(100 << 20): "100 MiB", humanize.Size(5 << 40): "5 TiB",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		72 * time.Hour: "3 days", 49 * time.Hour: "49 hours", 90 * time.Minute: "2 hours", time.Hour: "1 hour", time.Minute: "1 minute", 30 * time.Second: "30 seconds",
	} {
		if got := humanize.Duration(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestTimeAndAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if got := humanize.Time(now.In(time.FixedZone("", 3600))); got != "23 Nov 2026, 12:00 UTC" {
		t.Errorf("%q", got)
	}
	for before, want := range map[time.Duration]string{
		-time.Minute: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 59 * time.Minute: "59 minutes ago",
		time.Hour: "1 hour ago", 47 * time.Hour: "1 day ago", 30 * 24 * time.Hour: "30 days ago", 31 * 24 * time.Hour: "23 Oct 2026",
	} {
		if got := humanize.Ago(now.Add(-before), now); got != want {
			t.Errorf("%s before now is %q, want %q", before, got, want)
		}
	}
}
