package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/config"
)

func loadWorker(reminders string) (config.Config, error) {
	return config.LoadWorker([]string{
		"DATABASE_URL=postgres://localhost/x", "REDIS_URL=redis://localhost", "ROLLCALL_SECRET=" + strings.Repeat("s", 32),
		"ROLLCALL_INVITATION_REMINDERS=" + reminders,
	})
}

func TestReminders(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]time.Duration{
		"": nil, "24h": {24 * time.Hour}, "48h, 1h30m,24h": {90 * time.Minute, 24 * time.Hour, 48 * time.Hour}, "71h59m59s": {72*time.Hour - time.Second},
	} {
		cfg, err := loadWorker(value)
		if got := cfg.Reminders(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		"24": "holds something that is not a duration", "24h,": "holds something that is not a duration", "-24h": "less than one",
		"1500ms": "not a whole number of seconds", "24h,1440m": "the same age twice", "1h,2h,3h,4h,5h,6h": "more than 5 ages",
		"24h,72h": "an age at which links have expired",
	} {
		if _, err := loadWorker(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want that it %s", value, err, want)
		}
	}
}
