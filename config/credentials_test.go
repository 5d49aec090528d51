package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rollcall/config"
)

// credentials writes credentials as systemd does, and returns the variable that leads
// to them.
func credentials(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "CREDENTIALS_DIRECTORY=" + dir
}

// TestCredentials: every variable may be a credential; those of other services, and
// names without the prefix, mean nothing.
func TestCredentials(t *testing.T) {
	t.Parallel()
	given := credentials(t, map[string]string{
		"rollcall_DATABASE_URL": databaseURL + "\n", "rollcall_REDIS_URL": redisURL, "rollcall_ROLLCALL_SECRET": secret,
		"rollcall_ROLLCALL_BRAND": "Kestrel", "rollcall_SMTP_URL": "", "ROLLCALL_MAX_ROWS": "7", "other_ROLLCALL_MAX_ROWS": "8",
	})
	got, err := config.LoadAPI([]string{given})
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.LoadAPI(environment("ROLLCALL_BRAND=Kestrel"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("as credentials (-environment +credentials):\n%s", diff)
	}
}

// TestCredentialAndEnvironment: NAME_FILE is preferred, because it says which file;
// a value besides is a fault, as it would be with NAME_FILE.
func TestCredentialAndEnvironment(t *testing.T) {
	t.Parallel()
	given := credentials(t, map[string]string{"rollcall_ROLLCALL_SECRET": secret, "another": otherSecret})
	got, err := config.LoadUser([]string{"DATABASE_URL=" + databaseURL, given, "ROLLCALL_SECRET_FILE=" + filepath.Join(given[len("CREDENTIALS_DIRECTORY="):], "another")})
	if err != nil || got.Secret != otherSecret {
		t.Errorf("with NAME_FILE: %v", err)
	}
	checkFault(t, faultsOf(second(config.LoadAPI(environment(given)))), "ROLLCALL_SECRET", secret, "is set twice")
}

// TestUnusableCredential: what is there but cannot be read is a fault, not unset.
func TestUnusableCredential(t *testing.T) {
	t.Parallel()
	given := credentials(t, nil)
	if err := os.Mkdir(filepath.Join(given[len("CREDENTIALS_DIRECTORY="):], "rollcall_ADMIN_API_TOKEN"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := faulty(second(config.LoadAPI(environment(given)))); !slices.Equal(got, []string{"ADMIN_API_TOKEN"}) {
		t.Errorf("faults are %v", got)
	}
}
